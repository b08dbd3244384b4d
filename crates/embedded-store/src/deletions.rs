//! Deletions of objects, one by one and many at once.

use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    ETagCondition, Error as DeleteError, ObjectIdentifier, Timestamp,
};
use s3s::{S3Result, s3_error};

use crate::bucket::check_bucket;
use crate::conditions::WriteConditions;
use crate::error::StoreError;
use crate::manifest::{Changes, Object};
use crate::objects::check_version;
use crate::store::Store;
use crate::time::whole_second;

/// S3's largest number of objects of one request.
const MAX_DELETED_OBJECTS: usize = 1000;

/// The object to delete, and its expected properties.
struct Deletion {
    key: String,
    etag: WriteConditions,
    size: Option<i64>,
    modified: Option<Timestamp>,
}

impl Deletion {
    /// Deletes the object. Succeeds if it does not exist.
    ///
    /// # Errors
    /// `PreconditionFailed` for another ETag, size or time.
    fn run(&self, changes: &mut Changes) -> Result<(), StoreError> {
        let Some(existing) = changes.object(&self.key)? else {
            return Ok(());
        };
        self.etag.check(Some(&existing.etag))?;
        if !self.permits(&existing) {
            return Err(s3_error!(PreconditionFailed).into());
        }
        changes.delete_object(&self.key)
    }

    fn permits(&self, object: &Object) -> bool {
        let is_size = |size| u64::try_from(size) == Ok(object.size);
        let is_time = |time: &Timestamp| *time == whole_second(object.created_ms);
        self.size.is_none_or(is_size) && self.modified.as_ref().is_none_or(is_time)
    }
}

impl Store {
    pub async fn delete_object(&self, input: DeleteObjectInput) -> S3Result<DeleteObjectOutput> {
        check_bucket(&input.bucket)?;
        check_version(input.version_id.as_deref())?;
        let deletion = Deletion {
            key: input.key,
            etag: WriteConditions {
                if_match: input.if_match,
                if_none_match: None,
            },
            size: input.if_match_size,
            modified: input.if_match_last_modified_time,
        };
        self.manifest()
            .write(move |changes| deletion.run(changes))
            .await?;
        Ok(DeleteObjectOutput::default())
    }

    /// Deletes up to 1000 objects in one transaction.
    pub async fn delete_objects(&self, input: DeleteObjectsInput) -> S3Result<DeleteObjectsOutput> {
        check_bucket(&input.bucket)?;
        let objects = input.delete.objects;
        if objects.is_empty() || objects.len() > MAX_DELETED_OBJECTS {
            return Err(s3_error!(MalformedXML));
        }
        let is_quiet = input.delete.quiet.unwrap_or_default();
        let (deleted, errors) = self
            .manifest()
            .write(move |changes| {
                let (mut deleted, mut errors) = (Vec::new(), Vec::new());
                for object in objects {
                    match delete_listed(changes, &object) {
                        Ok(()) => deleted.push(DeletedObject {
                            key: Some(object.key),
                            version_id: object.version_id,
                            ..DeletedObject::default()
                        }),
                        Err(StoreError::Rejected(error)) => errors.push(DeleteError {
                            code: Some(error.code().as_str().to_owned()),
                            message: error.message().map(str::to_owned),
                            key: Some(object.key),
                            version_id: object.version_id,
                        }),
                        Err(error) => return Err(error),
                    }
                }
                Ok((deleted, errors))
            })
            .await?;
        Ok(DeleteObjectsOutput {
            deleted: (!is_quiet).then_some(deleted),
            errors: Some(errors),
            ..DeleteObjectsOutput::default()
        })
    }
}

fn delete_listed(changes: &mut Changes, object: &ObjectIdentifier) -> Result<(), StoreError> {
    check_version(object.version_id.as_deref())?;
    let deletion = Deletion {
        key: object.key.clone(),
        etag: WriteConditions {
            if_match: object.e_tag.clone().map(ETagCondition::ETag),
            if_none_match: None,
        },
        size: object.size,
        modified: object.last_modified_time.clone(),
    };
    deletion.run(changes)
}
