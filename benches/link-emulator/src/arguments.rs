//! The command line, and the lines of standard input that change the link.

use anyhow::{Context as _, Result, bail, ensure};

use crate::direction::Properties;

/// The longest name of a network interface that Linux permits, in bytes.
const MAX_INTERFACE_NAME_BYTES: usize = 15;

#[derive(Debug, Clone, PartialEq)]
pub struct Arguments {
    /// The names of the interfaces.
    pub near: String,
    pub far: String,
    /// From the near to the far side.
    pub properties: Properties,
    pub seed: u64,
}

/// A change of the link while it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// Bytes per second, of the direction to the far side.
    Rate(Option<f64>),
    /// Nanoseconds.
    Delay(u64),
    /// A share of the packets.
    Loss(f64),
    Up(bool),
}

/// # Errors
/// Unknown options, and values that are not numbers.
pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Arguments> {
    let mut properties = Properties {
        rate: None,
        delay: 0,
        queue_bytes: 1024.0 * 1024.0,
        loss: 0.0,
        is_up: true,
    };
    let mut seed = 1;
    let mut names = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--") else {
            ensure!(
                (1..=MAX_INTERFACE_NAME_BYTES).contains(&word.len()),
                "`{word}` is not a name of 1 to {MAX_INTERFACE_NAME_BYTES} bytes"
            );
            names.push(word);
            continue;
        };
        let value = words
            .next()
            .with_context(|| format!("--{option} needs a value"))?;
        match option {
            "queue" => properties.queue_bytes = number(&value)? * 1024.0,
            "seed" => {
                seed = value
                    .parse()
                    .with_context(|| format!("`{value}` is not a seed"))?;
            }
            _ => change(&format!("{option} {value}"))?.apply(&mut properties),
        }
    }
    let Ok([near, far]) = <[String; 2]>::try_from(names) else {
        bail!("name two interfaces: link-emulator NEAR FAR [OPTIONS]");
    };
    Ok(Arguments {
        near,
        far,
        properties,
        seed,
    })
}

/// # Errors
/// Unknown words, and values that are not numbers.
pub fn change(line: &str) -> Result<Change> {
    let words: Vec<&str> = line.split_whitespace().collect();
    Ok(match words[..] {
        ["rate", value] => {
            let megabits = number(value)?;
            Change::Rate((megabits > 0.0).then_some(megabits * 1e6 / 8.0))
        }
        ["delay", value] => Change::Delay(nanoseconds(number(value)?)),
        ["loss", value] => Change::Loss(number(value)? / 100.0),
        ["down"] => Change::Up(false),
        ["up"] => Change::Up(true),
        _ => bail!("could not understand `{line}`"),
    })
}

impl Change {
    pub fn apply(self, properties: &mut Properties) {
        match self {
            Self::Rate(rate) => properties.rate = rate,
            Self::Delay(delay) => properties.delay = delay,
            Self::Loss(loss) => properties.loss = loss,
            Self::Up(is_up) => properties.is_up = is_up,
        }
    }
}

fn number(text: &str) -> Result<f64> {
    let number: f64 = text
        .parse()
        .with_context(|| format!("`{text}` is not a number"))?;
    ensure!(
        number.is_finite() && number >= 0.0,
        "`{text}` is not a number of at least 0"
    );
    Ok(number)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is positive"
)]
fn nanoseconds(milliseconds: f64) -> u64 {
    (milliseconds * 1e6) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn units_are_megabits_milliseconds_kibibytes_and_percent() {
        let parsed = parse(words(
            "a b --rate 8 --delay 1.5 --queue 2 --loss 0.5 --seed 7",
        ))
        .unwrap();
        assert_eq!(
            (parsed.near.as_str(), parsed.far.as_str(), parsed.seed),
            ("a", "b", 7)
        );
        let expected = Properties {
            rate: Some(1e6),
            delay: 1_500_000,
            queue_bytes: 2048.0,
            loss: 0.005,
            is_up: true,
        };
        assert_eq!(parsed.properties, expected);
        assert_eq!(change("rate 0").unwrap(), Change::Rate(None));
    }

    #[test]
    fn wrong_words_are_errors() {
        for text in [
            "a",
            "a b c",
            "a b --rate",
            "a b --rate x",
            "a b --rate -1",
            "a b --speed 1",
            "name-of-interface b",
        ] {
            assert!(parse(words(text)).is_err(), "{text}");
        }
    }
}
