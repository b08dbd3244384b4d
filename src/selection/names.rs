//! The names of files as text. Control characters and bytes that are not UTF-8 get a visible
//! replacement: `\u{fffd}` and the byte in hexadecimal.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// One name as text.
#[must_use]
pub fn file_name(name: &OsStr) -> String {
    let bytes = name.as_bytes();
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains(char::is_control)
    {
        return text.to_owned();
    }
    let mut text = String::with_capacity(bytes.len() + 8);
    let replace = |text: &mut String, byte: u8| {
        // Writing to a string cannot fail.
        let _ = write!(text, "\u{fffd}{byte:02X}");
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                let mut buffer = [0; 4];
                let bytes = c.encode_utf8(&mut buffer).bytes();
                bytes.for_each(|byte| replace(&mut text, byte));
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            replace(&mut text, *byte);
        }
    }
    text
}

/// The name that the files below a directory have in common: the last name of the argument. `None`
/// for `DIR/.` and other arguments that end with a dot or two: then only the names below it count.
#[must_use]
pub fn root_name(argument: &Path) -> Option<String> {
    let mut bytes = argument.as_os_str().as_bytes();
    while let Some(shorter) = bytes.strip_suffix(b"/") {
        bytes = shorter;
    }
    let start = bytes.iter().rposition(|byte| *byte == b'/');
    let name = &bytes[start.map_or(0, |slash| slash + 1)..];
    match name {
        b"" | b"." | b".." => None,
        name => Some(file_name(OsStr::from_bytes(name))),
    }
}

/// The names of a relative path as text, with `/` between them.
#[must_use]
pub fn relative_path<'a>(names: impl IntoIterator<Item = &'a OsStr>) -> String {
    let names = names.into_iter().map(file_name);
    names.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_keeps_its_last_name_unless_it_ends_with_a_dot() {
        for (argument, name) in [
            ("card", Some("card")),
            ("card/", Some("card")),
            ("card//", Some("card")),
            ("/a/b/card", Some("card")),
            ("card/.", None),
            ("card/./", None),
            (".", None),
            ("./", None),
            ("..", None),
            ("a/..", None),
            ("/", None),
            (".hidden", Some(".hidden")),
            ("card.", Some("card.")),
            ("./card", Some("card")),
        ] {
            assert_eq!(
                root_name(Path::new(argument)).as_deref(),
                name,
                "{argument}"
            );
        }
    }

    #[test]
    fn names_are_text_and_different_names_stay_different() {
        let name = |bytes: &[u8]| file_name(OsStr::from_bytes(bytes));
        assert_eq!(name("Müller 写真.jpg".as_bytes()), "Müller 写真.jpg");
        assert_eq!(name(b"a\xffb"), "a\u{fffd}FFb");
        assert_eq!(name(b"a\xfeb"), "a\u{fffd}FEb");
        assert_eq!(name(b"two\nlines"), "two\u{fffd}0Alines");
        assert_eq!(name(b"\xe2\x82"), "\u{fffd}E2\u{fffd}82");
    }
}
