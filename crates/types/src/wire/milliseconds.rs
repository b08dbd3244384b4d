//! Times in JSON with exactly three decimals of a second, so that all times of a message have one
//! form. Other numbers of decimals are accepted.

use jiff::Timestamp;
use serde::{Deserialize as _, Deserializer, Serializer};

pub fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{time:.3}"))
}

pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
    Timestamp::deserialize(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Message {
        #[serde(with = "super")]
        time: Timestamp,
    }

    #[test]
    fn time_has_three_decimals() {
        for (read, written) in [
            ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z"),
            ("2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00.100Z"),
            ("2026-01-01T00:00:00.123956789Z", "2026-01-01T00:00:00.123Z"),
        ] {
            let json = format!(r#"{{"time":"{read}"}}"#);
            let message: Message = serde_json::from_str(&json).unwrap();
            let expected = format!(r#"{{"time":"{written}"}}"#);
            assert_eq!(serde_json::to_string(&message).unwrap(), expected);
        }
    }
}
