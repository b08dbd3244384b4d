-- The key that the client has chosen, below the prefix of the backend. Null if the backend
-- makes it.
ALTER TABLE upload ADD COLUMN key TEXT;
-- What to do about an object at this key. Null without a key.
ALTER TABLE upload ADD COLUMN if_exists TEXT;
