//! The operations on the bucket itself, and the access lists, which never change.

#![expect(
    clippy::unused_async,
    reason = "called like the operations that do wait"
)]

use std::ops::ControlFlow;

use s3s::dto::{
    Bucket, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput,
    GetBucketAclInput, GetBucketAclOutput, GetBucketLocationInput, GetBucketLocationOutput,
    GetBucketVersioningInput, GetBucketVersioningOutput, GetObjectAclInput, GetObjectAclOutput,
    GetObjectTaggingInput, GetObjectTaggingOutput, Grant, Grantee, HeadBucketInput,
    HeadBucketOutput, ListBucketsInput, ListBucketsOutput, Permission, PutObjectAclInput,
    PutObjectAclOutput, Tag, Type,
};
use s3s::{S3Result, s3_error};

use crate::bucket::{BUCKET, OWNER, REGION, check_bucket, owner};
use crate::objects::check_version;
use crate::store::Store;
use crate::time::timestamp;

impl Store {
    pub async fn list_buckets(&self, input: ListBucketsInput) -> S3Result<ListBucketsOutput> {
        let bucket = Bucket {
            name: Some(BUCKET.into()),
            bucket_region: Some(REGION.into()),
            creation_date: Some(timestamp(self.created_ms())),
        };
        let prefix = input.prefix.unwrap_or_default();
        let is_listed = BUCKET.starts_with(&prefix);
        Ok(ListBucketsOutput {
            buckets: Some(is_listed.then_some(bucket).into_iter().collect()),
            owner: Some(owner()),
            ..ListBucketsOutput::default()
        })
    }

    pub async fn head_bucket(&self, input: HeadBucketInput) -> S3Result<HeadBucketOutput> {
        check_bucket(&input.bucket)?;
        Ok(HeadBucketOutput {
            bucket_region: Some(REGION.into()),
            ..HeadBucketOutput::default()
        })
    }

    /// Succeeds for the bucket that exists, as in us-east-1.
    pub async fn create_bucket(&self, input: CreateBucketInput) -> S3Result<CreateBucketOutput> {
        if input.bucket != BUCKET {
            return Err(s3_error!(
                TooManyBuckets,
                "This store has one bucket, {BUCKET}, and no others can be created"
            ));
        }
        Ok(CreateBucketOutput {
            location: Some(format!("/{BUCKET}")),
        })
    }

    /// # Errors
    /// `NoSuchBucket`; `BucketNotEmpty`; `AccessDenied` for the empty bucket.
    pub async fn delete_bucket(&self, input: DeleteBucketInput) -> S3Result<DeleteBucketOutput> {
        check_bucket(&input.bucket)?;
        let has_objects = self
            .manifest()
            .read(|queries| {
                let mut has_objects = false;
                queries.visit_objects("", "", |_| {
                    has_objects = true;
                    ControlFlow::Break(())
                })?;
                Ok(has_objects)
            })
            .await?;
        if has_objects {
            return Err(s3_error!(BucketNotEmpty));
        }
        Err(s3_error!(
            AccessDenied,
            "The bucket of this store cannot be deleted"
        ))
    }

    /// The location is absent for us-east-1, as in S3.
    pub async fn get_bucket_location(
        &self,
        input: GetBucketLocationInput,
    ) -> S3Result<GetBucketLocationOutput> {
        check_bucket(&input.bucket)?;
        Ok(GetBucketLocationOutput::default())
    }

    /// The status is absent: versions were never enabled.
    pub async fn get_bucket_versioning(
        &self,
        input: GetBucketVersioningInput,
    ) -> S3Result<GetBucketVersioningOutput> {
        check_bucket(&input.bucket)?;
        Ok(GetBucketVersioningOutput::default())
    }

    pub async fn get_bucket_acl(&self, input: GetBucketAclInput) -> S3Result<GetBucketAclOutput> {
        check_bucket(&input.bucket)?;
        Ok(GetBucketAclOutput {
            grants: Some(vec![full_control()]),
            owner: Some(owner()),
        })
    }

    pub async fn get_object_acl(&self, input: GetObjectAclInput) -> S3Result<GetObjectAclOutput> {
        check_bucket(&input.bucket)?;
        check_version(input.version_id.as_deref())?;
        self.object(input.key).await?;
        Ok(GetObjectAclOutput {
            grants: Some(vec![full_control()]),
            owner: Some(owner()),
            ..GetObjectAclOutput::default()
        })
    }

    /// Accepts an access list that leaves the object private: some clients copy it with the object.
    ///
    /// # Errors
    /// `NoSuchKey`; `NotImplemented` for another access list.
    pub async fn put_object_acl(&self, input: PutObjectAclInput) -> S3Result<PutObjectAclOutput> {
        check_bucket(&input.bucket)?;
        check_version(input.version_id.as_deref())?;
        self.object(input.key).await?;
        let is_owner = |grant: &Grant| {
            let grantee = grant.grantee.as_ref();
            grantee.and_then(|grantee| grantee.id.as_deref()) == Some(OWNER)
        };
        let policy = input.access_control_policy.unwrap_or_default();
        let grants = policy.grants.unwrap_or_default();
        if !grants.iter().all(is_owner) {
            return Err(s3_error!(
                NotImplemented,
                "Objects of this store are private"
            ));
        }
        Ok(PutObjectAclOutput::default())
    }

    pub async fn get_object_tagging(
        &self,
        input: GetObjectTaggingInput,
    ) -> S3Result<GetObjectTaggingOutput> {
        check_bucket(&input.bucket)?;
        check_version(input.version_id.as_deref())?;
        let object = self.object(input.key).await?;
        let tag = |(key, value)| Tag {
            key: Some(key),
            value: Some(value),
        };
        Ok(GetObjectTaggingOutput {
            tag_set: object.attributes.tags.into_iter().map(tag).collect(),
            version_id: None,
        })
    }
}

/// The only grant: to the owner.
fn full_control() -> Grant {
    Grant {
        grantee: Some(Grantee {
            display_name: Some(OWNER.into()),
            email_address: None,
            id: Some(OWNER.into()),
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }
}
