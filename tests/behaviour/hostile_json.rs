//! JSON that is small as text and would be large in memory.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;

use crate::support::gateway::Gateway;
use crate::support::raw_http;

const MIB: usize = 1 << 20;

/// The peak of the resident memory of a process, in MiB.
fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib >> 10
}

/// Posts a body of almost 4 MiB that repeats `item`; returns the status.
fn post(gateway: &Gateway, path: &str, begin: &str, item: &str, end: &str) -> u16 {
    let count = (4 * MIB - begin.len() - end.len()) / item.len();
    let body = format!("{begin}{}{end}", item.repeat(count));
    let mut connection = TcpStream::connect(gateway.addr()).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        gateway.addr(),
        body.len()
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(body.as_bytes()).unwrap();
    raw_http::read(connection).unwrap().status
}

#[test]
fn json_takes_no_more_memory_than_its_text() {
    let gateway = Gateway::start(&["--companion", "/companion"], &[]);
    let before = peak_memory(gateway.pid());
    let batch = |begin: &str, item: &str, end: &str| post(&gateway, "/v1/batch", begin, item, end);
    assert_eq!(batch("{\"begin\":[", "{\"\":0},", "0]}"), 400);
    assert_eq!(batch("{\"status\":[", "0,", "0]}"), 400);
    // Unknown fields of the batch and of one of its calls.
    assert_eq!(batch("{\"x\":[", "{\"\":0},", "0]}"), 200);
    assert_eq!(batch("{\"begin\":[{\"x\":[", "{\"\":0},", "0]}]}"), 200);
    for item in ["{\"\":0},", "{\"PartNumber\":[{}]},", "[],"] {
        let path = "/companion/s3/multipart/a/complete?key=a";
        assert_eq!(
            post(&gateway, path, "{\"parts\":[", item, "0]}"),
            400,
            "{item}"
        );
    }
    let growth = peak_memory(gateway.pid()) - before;
    assert!(growth < 48, "{growth} MiB");
}
