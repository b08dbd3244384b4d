//! The sizes of the parts of an object, as far as the store reports them.
//!
//! Not here: the parts of an unfinished upload, in [`crate::multipart`].

use http::{Method, StatusCode};

use upload_types::Key;

use crate::client::Call;
use crate::fault::Fault;
use crate::store::Store;
use crate::{response, xml};

/// The maximum number of pages that are read: more than any object has.
const MAX_PAGES: u32 = 100;

impl Store {
    /// The size of the first part of an object that was completed from several parts, by
    /// `HeadObject`. Returns `None` if the store does not report it.
    pub async fn first_part_size(&self, key: &Key) -> Result<Option<u64>, Fault> {
        let url = self.object_url(key, &[("partNumber", "1")])?;
        let call = Call::new("HeadObject", Method::HEAD, url);
        let mut response = self.client().send(call).await?;
        // A store that asks to slow down may report it later.
        if response.status == StatusCode::SERVICE_UNAVAILABLE {
            response = response::check("HeadObject", response)?;
        }
        let size = response.header("content-length");
        let is_of_part = response.header("x-amz-mp-parts-count").is_some();
        let size = size.filter(|_| response.status.is_success() && is_of_part);
        Ok(size.and_then(|size| size.parse().ok()))
    }

    /// The sizes of all parts of an object, in order, by `GetObjectAttributes`. Returns `None` if
    /// the store does not report them, or does not permit the request.
    pub async fn part_sizes(&self, key: &Key) -> Result<Option<Vec<u64>>, Fault> {
        let (mut sizes, mut after) = (Vec::new(), 0);
        for _ in 0..MAX_PAGES {
            let url = self.object_url(key, &[("attributes", "")])?;
            let mut call = Call::new("GetObjectAttributes", Method::GET, url)
                .header("x-amz-object-attributes", "ObjectParts")?
                .header("x-amz-max-parts", "1000")?;
            if after > 0 {
                call = call.header("x-amz-part-number-marker", &after.to_string())?;
            }
            let response = self
                .client()
                .send_and_parse(call, "GetObjectAttributes")
                .await;
            let page: xml::GetObjectAttributesResponse = match response {
                Ok(page) => page,
                Err(Fault::Refused(_) | Fault::Rejected(_) | Fault::Unsupported(_)) => {
                    return Ok(None);
                }
                Err(fault) => return Err(fault),
            };
            let Some(page) = page.object_parts else {
                return Ok(None);
            };
            sizes.extend(page.parts.iter().map(|part| part.size));
            if !page.is_truncated {
                return Ok(Some(sizes).filter(|sizes| !sizes.is_empty()));
            }
            let last = page.parts.last().map_or(0, |part| part.number);
            // The same parts again: the store ignores the marker.
            if last <= after {
                return Ok(None);
            }
            after = last;
        }
        Ok(None)
    }
}
