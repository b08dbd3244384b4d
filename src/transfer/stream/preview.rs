//! A dry run of a stream: the plan of its parts. Reads nothing.

use upload_types::error::Result;
use upload_types::wire::BackendInfo;

use super::request::StreamPut;
use crate::event::{Event, Forecast};
use crate::transfer::comparison::check_key;

/// The plan that an upload would have.
///
/// # Errors
/// As a `put` with a key that the backend does not permit, and as [`StreamPut::schedule`].
pub fn preview_stream(info: &BackendInfo, item: usize, stream: &StreamPut) -> Result<Event> {
    check_key(&stream.put, info)?;
    let schedule = stream.schedule(&info.limits)?;
    let event = Event::stream_plan(item, None, stream.expected_size, schedule.part_size());
    let event = event.with_key(stream.put.key.clone());
    Ok(event.as_forecast(Forecast::WouldSend))
}
