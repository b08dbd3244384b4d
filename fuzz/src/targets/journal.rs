//! The file of a journal.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;

use upload::journal::{Intent, Journal, Record, State};
use upload::report::text;
use upload::source::FileVersion;
use upload::transfer;
use upload_types::error::Kind;
use upload_types::plan::Plan;
use upload_types::wire::IfExists;
use upload_types::{PartNumber, Sha256, UploadId};

use super::common::{PART_BYTES, assert_printable, assert_reportable, split_byte};

thread_local! {
    static VALID_JOURNAL: OnceCell<Vec<u8>> = const { OnceCell::new() };
}

/// The bytes of a journal with two uploads.
fn valid_journal(directory: &Path) -> Vec<u8> {
    let path = directory.join("valid.db");
    let mut journal = Journal::open(&path).expect("a journal");
    let intent = |name: &str| Intent {
        backend: "http://127.0.0.1".into(),
        s3_service: None,
        instance_id: "i".into(),
        path: format!("/{name}").into(),
        name: name.into(),
        content_type: "a/b".into(),
        metadata: BTreeMap::from([("a".into(), "b".into())]),
        attributes: Box::default(),
        key: Some("a/b".into()),
        if_exists: Some(IfExists::Same),
        version: FILE_VERSION,
        part_size: PART_BYTES,
        stream: None,
        file_set: None,
    };
    let uploads = journal
        .intend(&[], vec![intent("film"), intent("song")])
        .expect("two uploads");
    let row = uploads[0].as_ref().expect("the first upload").row;
    let id: UploadId = "some-id".parse().expect("an id");
    let (number, sha256, etag) = (
        PartNumber::FIRST,
        Sha256::of(b"1"),
        "e1".parse().expect("an ETag"),
    );
    journal
        .record(&[
            Record::Begun {
                row,
                id,
                part_size: PART_BYTES,
                backend_state: None,
            },
            Record::PartHashed {
                row,
                number,
                sha256,
            },
            Record::PartStored { row, number, etag },
        ])
        .expect("recorded");
    drop(journal);
    std::fs::read(path).expect("the file")
}

const FILE_VERSION: FileVersion = FileVersion {
    dev: 1,
    ino: 2,
    size: 2 * PART_BYTES + 7,
    mtime_ns: 3,
    ctime_ns: 4,
};

/// The file of a journal: any bytes if the first byte is even, otherwise a valid one with changes
/// (offset, length, bytes). It is either rejected or read; its content is not trusted.
pub fn journal(bytes: &[u8]) {
    let in_memory = tempfile::Builder::new()
        .prefix("upload-fuzz-")
        .tempdir_in("/dev/shm");
    let directory = in_memory
        .or_else(|_| tempfile::tempdir())
        .expect("a directory");
    let (choice, mut rest) = split_byte(bytes);
    let file = if choice.is_multiple_of(2) {
        rest.to_vec()
    } else {
        let mut file = VALID_JOURNAL.with(|valid| {
            let valid = valid.get_or_init(|| valid_journal(directory.path()));
            valid.clone()
        });
        while rest.len() > 4 {
            let at = usize::from(u16::from_le_bytes([rest[0], rest[1]])) * 2 % file.len();
            let len = usize::from(rest[2] % 16)
                .min(rest.len() - 3)
                .min(file.len() - at);
            file[at..at + len].copy_from_slice(&rest[3..3 + len]);
            rest = &rest[3 + len..];
        }
        file
    };
    let path = directory.path().join("journal.db");
    std::fs::write(&path, &file).expect("a file");
    let mut journal = match Journal::open(&path) {
        Ok(journal) => journal,
        Err(error) => {
            assert!(
                matches!(error.kind(), Kind::DatabaseUnusable | Kind::Config),
                "{error:?}"
            );
            return assert_reportable(&error);
        }
    };
    let wanted = [("film", Path::new("/film"), FILE_VERSION)];
    if let Ok(candidates) = journal.candidates("i", &wanted) {
        let put = transfer::PutRequest {
            path: "/film".into(),
            name: "film".into(),
            name_origin: transfer::NameOrigin::Path,
            content_type: "a/b".into(),
            type_origin: transfer::TypeOrigin::Requested,
            metadata: BTreeMap::new(),
            attributes: Box::default(),
            key: Some("a/b".into()),
            if_exists: IfExists::Same,
            part_size: None,
            trust_journal: false,
            force: false,
            on_change: transfer::OnChange::Fail,
            if_gone: transfer::IfGone::Fail,
            file_set: None,
            begun_since: None,
        };
        let _ = transfer::choose(&candidates.concat(), &FILE_VERSION, &put);
    }
    for upload in journal.all().unwrap_or_default() {
        if upload.state == State::Completed
            && let Some(receipt) = &upload.receipt
        {
            assert_printable(&text::safe(receipt.location.as_deref().unwrap_or_default()));
        }
        let Ok(plan) = Plan::pinned(upload.intent.version.size, upload.intent.part_size) else {
            continue;
        };
        let parts = journal.parts(upload.row).unwrap_or_default();
        // The store has no parts, so there is nothing to agree on.
        assert!(transfer::agreed_parts(&plan, &parts, &[]).is_empty());
        if let Err(error) = journal.take(&upload) {
            let is_expected =
                matches!(error.kind(), Kind::Io | Kind::Busy | Kind::DatabaseUnusable);
            assert!(is_expected, "{error:?}");
        }
    }
}
