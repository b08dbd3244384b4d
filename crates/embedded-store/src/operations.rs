//! The S3 operations that the store implements: a table from the methods of s3s to those of
//! [`Store`]. s3s responds `NotImplemented` to all others.

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput,
    CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteBucketInput,
    DeleteBucketOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, GetBucketAclInput, GetBucketAclOutput, GetBucketLocationInput,
    GetBucketLocationOutput, GetBucketVersioningInput, GetBucketVersioningOutput,
    GetObjectAclInput, GetObjectAclOutput, GetObjectAttributesInput, GetObjectAttributesOutput,
    GetObjectInput, GetObjectOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput,
    ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectVersionsInput, ListObjectVersionsOutput, ListObjectsInput, ListObjectsOutput,
    ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, PostObjectInput,
    PostObjectOutput, PutObjectAclInput, PutObjectAclOutput, PutObjectInput, PutObjectOutput,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use crate::store::Store;

/// The number of tags of an object.
const TAG_COUNT: &str = "x-amz-tagging-count";

/// Implements each operation by the method of [`Store`] with the same name, which takes the input
/// or, with `whole`, the whole request. The block at the end contains the other operations.
macro_rules! operations {
    ($($name:ident($input:ident) -> $output:ident $($whole:ident)?;)* {$($other:tt)*}) => {
        #[async_trait::async_trait]
        impl S3 for Store {
            $(
                async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                    let argument = operations!(@ request $($whole)?);
                    Ok(S3Response::new(Store::$name(self, argument).await?))
                }
            )*
            $($other)*
        }
    };
    (@ $request:ident whole) => { $request };
    (@ $request:ident) => { $request.input };
}

operations! {
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput;
    upload_part(UploadPartInput) -> UploadPartOutput whole;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput whole;
    list_parts(ListPartsInput) -> ListPartsOutput;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput;
    put_object(PutObjectInput) -> PutObjectOutput whole;
    get_object(GetObjectInput) -> GetObjectOutput;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput;
    put_object_acl(PutObjectAclInput) -> PutObjectAclOutput;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput;
    copy_object(CopyObjectInput) -> CopyObjectOutput whole;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput;
    list_objects(ListObjectsInput) -> ListObjectsOutput;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput;
    list_buckets(ListBucketsInput) -> ListBucketsOutput;
    head_bucket(HeadBucketInput) -> HeadBucketOutput;
    create_bucket(CreateBucketInput) -> CreateBucketOutput;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput;
    {
        async fn head_object(
            &self,
            request: S3Request<HeadObjectInput>,
        ) -> S3Result<S3Response<HeadObjectOutput>> {
            let (output, tag_count) = Store::head_object(self, request.input).await?;
            let mut response = S3Response::new(output);
            if let Some(count) = tag_count {
                response.headers.insert(TAG_COUNT, count.into());
            }
            Ok(response)
        }

        // S3 sends ETag and location in headers, too; browsers read them there.
        async fn post_object(
            &self,
            request: S3Request<PostObjectInput>,
        ) -> S3Result<S3Response<PostObjectOutput>> {
            let (etag, path) = Store::post_object(self, request).await?;
            let mut response = S3Response::new(PostObjectOutput::default());
            let quoted = format!("\"{}\"", etag.value());
            for (name, value) in [(http::header::ETAG, quoted), (http::header::LOCATION, path)] {
                let value = value.try_into().map_err(|_| s3_error!(InternalError))?;
                response.headers.insert(name, value);
            }
            response.output.e_tag = Some(etag);
            Ok(response)
        }
    }
}
