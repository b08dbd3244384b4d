-- 1 if a process may have changed the source through a memory mapping since its parts were hashed:
-- a digest is used only after a comparison with the source.
ALTER TABLE upload ADD COLUMN may_be_mapped INTEGER NOT NULL DEFAULT 0;
