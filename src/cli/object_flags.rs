//! The flags of `put` for the properties of an object, for the commands in hints: a command that
//! repeats an upload must ask for the same object.

use std::collections::BTreeMap;

use super::content_types::guessed_type;
use super::settings::PutOptions;
use crate::journal::Intent;
use upload_types::attributes::Attribute;
use upload_types::wire::{Attributes, IfExists};

/// The flags of a put with these options.
#[must_use]
pub fn flags_of_options(options: &PutOptions) -> Vec<String> {
    let content_type = options.content_type.as_deref();
    flags(content_type, &options.metadata, &options.attributes)
}

/// The flags of a put with the properties of an upload.
#[must_use]
pub fn flags_of_intent(intent: &Intent) -> Vec<String> {
    let content_type = Some(intent.content_type.as_str());
    let content_type = content_type.filter(|own| *own != guessed_type(&intent.name));
    flags(content_type, &intent.metadata, &intent.attributes)
}

/// The flags of a put about an object that is at its key already.
#[must_use]
pub fn rule_flags(rule: IfExists, force: bool) -> Vec<String> {
    let mut flags = Vec::new();
    if force {
        flags.push("--force".to_owned());
    }
    if rule != IfExists::default() {
        flags.extend(["--if-exists".to_owned(), rule.name().to_owned()]);
    }
    flags
}

fn flags(
    content_type: Option<&str>,
    metadata: &BTreeMap<String, String>,
    attributes: &Attributes,
) -> Vec<String> {
    let mut flags = Vec::new();
    let mut add = |flag: &str, value: &str| flags.extend([format!("--{flag}"), value.to_owned()]);
    if let Some(content_type) = content_type {
        add("content-type", content_type);
    }
    for (key, value) in metadata {
        add("meta", &format!("{key}={value}"));
    }
    for attribute in attributes.given() {
        if attribute == Attribute::Tag {
            for (key, value) in &attributes.tags {
                add("tag", &format!("{key}={value}"));
            }
            continue;
        }
        let value = attributes.value(attribute);
        add(attribute.name(), value.unwrap_or_default());
    }
    flags
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::attributes::AttributeArgs;

    #[derive(clap::Parser)]
    struct CommandLine {
        #[command(flatten)]
        attributes: AttributeArgs,
    }

    #[test]
    fn flags_ask_for_the_same_attributes() {
        let attributes = Attributes {
            acl: Some("public-read".into()),
            expires: Some("Thu, 31 Jan 2030 12:00:00 GMT".into()),
            cache_control: Some("max-age=1, public".into()),
            content_disposition: Some("attachment; filename=\"a b.pdf\"".into()),
            content_encoding: Some("gzip".into()),
            content_language: Some("de".into()),
            sse: Some("AES256".into()),
            storage_class: Some("STANDARD_IA".into()),
            tags: [
                ("a".to_owned(), "b c".to_owned()),
                ("d".to_owned(), String::new()),
            ]
            .into(),
        };
        let flags = flags(None, &BTreeMap::new(), &attributes);
        let line = CommandLine::parse_from(std::iter::once("upload".to_owned()).chain(flags));
        assert_eq!(line.attributes.attributes().unwrap(), attributes);
        let metadata = [("k".to_owned(), "v".to_owned())].into();
        let flags = super::flags(Some("a/b"), &metadata, &Attributes::NONE);
        assert_eq!(flags, ["--content-type", "a/b", "--meta", "k=v"]);
    }
}
