//! One plain HTTP/1.1 request over a connection of its own.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// Sends `GET path` with further headers, each a line.
#[track_caller]
pub fn get(addr: SocketAddr, path: &str, headers: &[&str]) -> Response {
    try_get(addr, path, headers).unwrap_or_else(|error| panic!("{addr}{path}: {error}"))
}

/// As [`get`], for a server that may not be running.
///
/// # Errors
/// Network errors.
pub fn try_get(addr: SocketAddr, path: &str, headers: &[&str]) -> io::Result<Response> {
    let mut connection = TcpStream::connect(addr)?;
    connection.set_read_timeout(Some(Duration::from_mins(1)))?;
    let headers = headers
        .iter()
        .flat_map(|line| [line, "\r\n"])
        .collect::<String>();
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n{headers}\r\n"
    )?;
    read(connection)
}

/// Sends a request with a body.
#[track_caller]
pub fn request(
    addr: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &[u8],
) -> Response {
    let mut connection = TcpStream::connect(addr).unwrap();
    connection
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    let headers: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.write_all(body).unwrap();
    read(connection).unwrap()
}

/// Reads a connection to its end as a response.
///
/// # Errors
/// Network errors, and [`io::ErrorKind::InvalidData`] if the bytes are not an HTTP response.
pub fn read(mut connection: TcpStream) -> io::Result<Response> {
    let mut text = String::new();
    connection.read_to_string(&mut text)?;
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .ok_or_else(invalid)?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Response {
        status,
        headers,
        body: body.to_owned(),
    })
}
