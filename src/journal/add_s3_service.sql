-- The S3 service of an `s3://` backend, as JSON.
ALTER TABLE upload ADD COLUMN s3_service TEXT;
