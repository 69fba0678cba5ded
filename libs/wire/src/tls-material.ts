/** What one end of a connection needs to speak TLS, as PEM. */
export interface TlsMaterial {
  /** Who may have signed the other end's certificate; default: the authorities that Node trusts. */
  readonly ca?: Buffer;
  /** Our own certificate with its chain, and its key: a server's, or that of a client which must show one. */
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/**
 * TLS material that may be renewed while doors and clients use it: connections made from then on use the new one, those that stand live on.
 */
export class LiveTlsMaterial {
  private current: TlsMaterial;
  private readonly followers = new Set<(material: TlsMaterial) => void>();

  constructor(material: TlsMaterial) {
    this.current = material;
  }

  get material(): TlsMaterial {
    return this.current;
  }

  renew(material: TlsMaterial): void {
    this.current = material;
    for (const follower of this.followers) follower(material);
  }

  /** Called now with what is current, and at each renewal until the returned function is called. */
  follow(follower: (material: TlsMaterial) => void): () => void {
    this.followers.add(follower);
    follower(this.current);
    return () => this.followers.delete(follower);
  }
}
