//! Maps with right and wrong lines.

use std::io::Write as _;

use super::*;

#[test]
fn lines_are_files_with_attributes() {
    let text = br#"{"path": "a b", "key": "k/1", "meta": {"x": "y"}}

{"path": "c", "content_type": "text/plain"}
{"path": "d", "colour": 1}
{"path": "e"}
"#;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    let lines: Vec<_> = PathMap::open(file.path()).unwrap().collect();
    let [first, second, third, last] = lines.as_slice() else {
        panic!("{} lines", lines.len())
    };
    let (line, attributes) = first.as_ref().unwrap();
    assert_eq!((line.number, line.path.as_path()), (1, Path::new("a b")));
    assert_eq!(attributes.key.as_deref(), Some("k/1"));
    assert_eq!(attributes.metadata["x"], "y");
    let (line, attributes) = second.as_ref().unwrap();
    assert_eq!(line.number, 3);
    assert_eq!(attributes.content_type.as_deref(), Some("text/plain"));
    let error = third.as_ref().unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("line 4"), "{error}");
    assert!(last.is_ok());
}

#[test]
fn mark_at_the_start_and_blank_lines_are_left_out() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"\xef\xbb\xbf{\"path\": \"a\"}\r\n\r\n{\"path\": \"\"}\r\n")
        .unwrap();
    let lines: Vec<_> = PathMap::open(file.path()).unwrap().collect();
    let [first, empty] = lines.as_slice() else {
        panic!("{} lines", lines.len())
    };
    assert_eq!(first.as_ref().unwrap().0.path, Path::new("a"));
    let error = empty.as_ref().unwrap_err();
    assert!(error.to_string().contains("line 3 of the map"), "{error}");
}
