//! The S3 operations the store has; s3s answers `NotImplemented` for the others.
//!
//! Border: a table, from S3's names to `uploads` and `objects`.

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Bucket, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteObjectInput, DeleteObjectOutput, GetBucketLocationInput, GetBucketLocationOutput,
    GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput,
    HeadObjectOutput, ListBucketsInput, ListBucketsOutput, ListMultipartUploadsInput,
    ListMultipartUploadsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, ListPartsInput, ListPartsOutput, PostObjectInput, PostObjectOutput,
    PutObjectInput, PutObjectOutput, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::objects::{only_bucket, timestamp};
use super::{BUCKET, REGION, Store};

/// The operations, each with the method that does it and what of the request the method takes.
macro_rules! operations {
    ($($name:ident($input:ident) -> $output:ident: $method:ident $($whole:ident)?;)* $({$($other:tt)*})?) => {
        #[async_trait::async_trait]
        impl S3 for Store {
            $(
                async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                    Ok(S3Response::new(self.$method(operations!(@ request $($whole)?)).await?))
                }
            )*
            $($($other)*)?
        }
    };
    (@ $request:ident whole) => { $request };
    (@ $request:ident) => { $request.input };
}

operations! {
    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput: create;
    upload_part(UploadPartInput) -> UploadPartOutput: part whole;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput: copy_part;
    list_parts(ListPartsInput) -> ListPartsOutput: parts;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput: uploads;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput: complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput: abort;
    put_object(PutObjectInput) -> PutObjectOutput: put whole;
    head_object(HeadObjectInput) -> HeadObjectOutput: head;
    get_object(GetObjectInput) -> GetObjectOutput: get;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput: delete;
    list_objects(ListObjectsInput) -> ListObjectsOutput: list_v1;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output: list_v2;
    list_buckets(ListBucketsInput) -> ListBucketsOutput: buckets;
    head_bucket(HeadBucketInput) -> HeadBucketOutput: bucket;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput: location;
    {
        // S3 says ETag and place in headers too, where browsers look for them.
        async fn post_object(&self, request: S3Request<PostObjectInput>) -> S3Result<S3Response<PostObjectOutput>> {
            let (etag, place) = self.post(request).await?;
            let mut response = S3Response::new(PostObjectOutput::default());
            let text = format!("\"{}\"", etag.value());
            response.headers.insert(http::header::ETAG, text.try_into().map_err(|_| s3_error!(InternalError))?);
            response.headers.insert(http::header::LOCATION, place.try_into().map_err(|_| s3_error!(InternalError))?);
            response.output.e_tag = Some(etag);
            Ok(response)
        }
    }
}

#[expect(
    clippy::unused_async,
    reason = "called like the operations that do wait"
)]
impl Store {
    async fn buckets(&self, _input: ListBucketsInput) -> S3Result<ListBucketsOutput> {
        let bucket = Bucket {
            name: Some(BUCKET.into()),
            bucket_region: Some(REGION.into()),
            creation_date: Some(timestamp(self.made)),
        };
        Ok(ListBucketsOutput {
            buckets: Some(vec![bucket]),
            ..ListBucketsOutput::default()
        })
    }

    async fn bucket(&self, input: HeadBucketInput) -> S3Result<HeadBucketOutput> {
        only_bucket(&input.bucket)?;
        Ok(HeadBucketOutput {
            bucket_region: Some(REGION.into()),
            ..HeadBucketOutput::default()
        })
    }

    /// S3 says nothing for us-east-1.
    async fn location(&self, input: GetBucketLocationInput) -> S3Result<GetBucketLocationOutput> {
        only_bucket(&input.bucket)?;
        Ok(GetBucketLocationOutput::default())
    }
}
