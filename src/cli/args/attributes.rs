//! The flags of `put` for the attributes of objects.
//!
//! Not here: the checks of values (`upload_types::attributes`).

#![expect(
    clippy::doc_markdown,
    reason = "these comments are help texts, which are not Markdown"
)]

use std::collections::BTreeMap;

use clap::Args;

use crate::cli::parse;
use upload_types::attributes::{Attribute, check_value};
use upload_types::error::{Error, Kind, Result};
use upload_types::wire::Attributes;

#[derive(Args)]
pub struct AttributeArgs {
    /// The Cache-Control of the object, such as 'max-age=3600, public'
    ///
    /// The store returns it to each reader. A backend may permit this and the other attributes, or
    /// refuse them: see --allow-attribute of `upload serve`.
    #[arg(long, value_name = "DIRECTIVES", value_parser = cache_control)]
    cache_control: Option<String>,
    /// The Content-Disposition of the object, such as 'attachment; filename="a.pdf"'
    #[arg(long, value_name = "VALUE", value_parser = content_disposition)]
    content_disposition: Option<String>,
    /// The Content-Encoding of the object, such as gzip. The content is sent as it is
    #[arg(long, value_name = "CODINGS", value_parser = content_encoding)]
    content_encoding: Option<String>,
    /// The Content-Language of the object, such as de-CH
    #[arg(long, value_name = "LANGUAGES", value_parser = content_language)]
    content_language: Option<String>,
    /// The Expires of the object: a time such as 2030-01-31T12:00:00Z, or a date
    #[arg(long, value_name = "TIME", value_parser = expires)]
    expires: Option<String>,
    /// The access list of the object, such as public-read or bucket-owner-full-control [default:
    /// that of the bucket]
    ///
    /// Stores do not report it, so the receipt has `acl` in the field `unproven`, and for
    /// --if-exists, an object that is at the key differs. A bucket whose access lists are disabled
    /// refuses every one but bucket-owner-full-control.
    #[arg(long, value_name = "ACL", value_parser = acl)]
    acl: Option<String>,
    /// The storage class of the object, such as STANDARD_IA [default: that of the bucket]
    #[arg(long, value_name = "CLASS", value_parser = storage_class)]
    storage_class: Option<String>,
    /// A tag of the object; repeatable, at most 10
    ///
    /// Keys of 1 to 128 characters and values of at most 256: letters, digits, spaces and +-=._:/@.
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = parse::tag)]
    tags: Vec<(String, String)>,
    /// The server-side encryption of the object: AES256, aws:kms or aws:kms:KEY-ID [default: that
    /// of the backend or the bucket]
    #[arg(long, value_name = "SSE", value_parser = sse)]
    sse: Option<String>,
}

impl AttributeArgs {
    /// The attributes that the flags name.
    ///
    /// # Errors
    /// [`Kind::Usage`] for a key of a tag that is given twice, or values that are too long
    /// together.
    pub fn attributes(&self) -> Result<Attributes> {
        let mut tags = BTreeMap::new();
        for (key, value) in &self.tags {
            if tags.insert(key.clone(), value.clone()).is_some() {
                let what = format!("--tag is given twice for {key}");
                return Err(Error::new(Kind::Usage, what));
            }
        }
        let attributes = Attributes {
            acl: self.acl.clone(),
            cache_control: self.cache_control.clone(),
            content_disposition: self.content_disposition.clone(),
            content_encoding: self.content_encoding.clone(),
            content_language: self.content_language.clone(),
            expires: self.expires.clone(),
            sse: self.sse.clone(),
            storage_class: self.storage_class.clone(),
            tags,
        };
        attributes
            .checked()
            .map_err(|error| Error::new(Kind::Usage, error.to_string()))
    }
}

/// Defines the parsers of values.
macro_rules! parsers {
    ($($name:ident $attribute:ident),*) => {$(
        fn $name(text: &str) -> std::result::Result<String, String> {
            check_value(Attribute::$attribute, text).map_err(|error| error.to_string())
        }
    )*};
}

parsers! {
    acl Acl,
    expires Expires,
    cache_control CacheControl,
    content_disposition ContentDisposition,
    content_encoding ContentEncoding,
    content_language ContentLanguage,
    storage_class StorageClass,
    sse Sse
}
