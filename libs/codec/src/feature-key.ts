/** The values of an entity's join keys, in the order of its definition, as one text: joined by `|`, with `|` and `\` escaped. */
export function joinEntityKey(values: readonly string[]): string {
  return values.length === 1 ? escape(values[0]!) : values.map(escape).join('|');
}

/** The inverse of `joinEntityKey`. */
export function splitEntityKey(key: string): string[] {
  const values: string[] = [];
  let value = '';
  for (let i = 0; i < key.length; i++) {
    if (key[i] === '\\') value += key[++i] ?? '';
    else if (key[i] === '|') {
      values.push(value);
      value = '';
    } else value += key[i];
  }
  values.push(value);
  return values;
}

/**
 * Redis key of one (entity, view). The braces are a hash tag: all views of an entity share a slot of a cluster, so one entity is
 * one round trip there too. A `}` inside a key value only shortens the tag, equally for all views of that entity.
 */
export function onlineKey(project: string, entity: string, joinedKey: string, view: string): string {
  return `hr:{${project}/${entity}/${joinedKey}}:${view}`;
}

/** What stands before and behind the joined key in the Redis keys of one view. */
export function onlineKeyAround(project: string, entity: string, view: string): { prefix: string; suffix: string } {
  return { prefix: `hr:{${project}/${entity}/`, suffix: `}:${view}` };
}

/** Redis key of the precomputed vector of one (entity, feature service), in the slot of its rows. No view is called so. */
export function vectorKey(project: string, entity: string, joinedKey: string, service: string): string {
  return `hr:{${project}/${entity}/${joinedKey}}@${service}`;
}

/** Key of a row of the same entity. */
export function onlineKeyBeside(vectorKey: string, service: string, view: string): string {
  return `${vectorKey.slice(0, -service.length - 1)}:${view}`;
}

function escape(value: string): string {
  return value.includes('|') || value.includes('\\') ? value.replace(/[\\|]/g, '\\$&') : value;
}
