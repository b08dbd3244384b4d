-- The attributes of the object, as JSON.
ALTER TABLE upload ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}';
