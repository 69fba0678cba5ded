-- Kinds of definitions are checked by the schemas of libs/definitions; a list here would have to be changed with each new kind.
ALTER TABLE definitions DROP CONSTRAINT definitions_kind_check;
