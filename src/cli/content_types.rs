//! The content types of files, by their names. Pure.

use upload_types::DEFAULT_CONTENT_TYPE;

/// Extensions that `mime_guess` does not know, or has an outdated type for.
const OWN_TYPES: [(&str, &str); 11] = [
    ("deb", "application/vnd.debian.binary-package"),
    ("dmg", "application/x-apple-diskimage"),
    ("m2t", "video/mp2t"),
    ("m2ts", "video/mp2t"),
    ("mts", "video/mp2t"),
    ("parquet", "application/vnd.apache.parquet"),
    ("rpm", "application/x-rpm"),
    ("tgz", "application/gzip"),
    ("ts", "video/mp2t"),
    ("whl", "application/zip"),
    ("zst", "application/zstd"),
];

/// The content type for a file name, by its extension.
pub fn guessed_type(name: &str) -> &'static str {
    let (_, extension) = name.rsplit_once('.').unwrap_or_default();
    let extension = extension.to_ascii_lowercase();
    let own = OWN_TYPES.iter().find(|(own, _)| *own == extension);
    own.map(|(_, content_type)| *content_type)
        .or_else(|| mime_guess::from_path(name).first_raw())
        .unwrap_or(DEFAULT_CONTENT_TYPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_is_guessed_from_the_extension() {
        for (name, content_type) in [
            ("a.tar.zst", "application/zstd"),
            ("a.TGZ", "application/gzip"),
            ("a.tar.gz", "application/gzip"),
            ("a.mov", "video/quicktime"),
            ("0001.ts", "video/mp2t"),
            ("00001.MTS", "video/mp2t"),
            ("a.dmg", "application/x-apple-diskimage"),
            ("zst", "application/octet-stream"),
            ("a.unknown", "application/octet-stream"),
        ] {
            assert_eq!(guessed_type(name), content_type, "{name}");
        }
    }
}
