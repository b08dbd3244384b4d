-- Of a stream, whose size is unknown until it ends: the terms of its parts, as JSON.
ALTER TABLE upload ADD COLUMN stream TEXT;
