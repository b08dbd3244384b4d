//! Text for terminals: escapes control characters, and formats sizes, rates and durations.
//!
//! Each text from a server, file name or error passes [`safe`] or [`escape`] before it is shown.
//! All functions are pure.

use std::fmt::Write as _;
use std::time::Duration;

use unicode_width::UnicodeWidthChar as _;

use super::fitting;

/// The name of a stream, which has no path, until its receipt names it.
pub const STREAM_NAME: &str = "the stream";
/// The longest external text that is shown, in columns.
pub const MAX_COLUMNS: usize = 256;
/// The same in characters: one column can have any number of marks of width zero.
const MAX_CHARS: usize = 4 * MAX_COLUMNS;

/// An external text without terminal controls, cut to [`MAX_COLUMNS`].
#[must_use]
pub fn safe(text: &str) -> String {
    cut(&escape(text), MAX_COLUMNS)
}

/// An external text without terminal controls: C0 (line breaks and tabs too), DEL, C1,
/// bidirectional controls, invisible characters and line separators become `\u{…}`. The text is not
/// cut.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            // Writing to a string cannot fail.
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero-width space and joiners, direction marks.
            | '\u{200b}'..='\u{200f}'
            // Line and paragraph separator, embeddings and overrides.
            | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, isolates.
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            // Tags.
            | '\u{e0000}'..='\u{e007f}')
}

/// A number with a comma before each three digits: `1,204`.
#[must_use]
pub fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of files: `1 file`, `1,204 files`.
#[must_use]
pub fn files(count: usize) -> String {
    if count == 1 {
        "1 file".to_owned()
    } else {
        format!("{} files", number(count))
    }
}

/// The longest beginning of a text that fits into `columns`, with `…` in place of the rest.
#[must_use]
pub fn cut(text: &str, columns: usize) -> String {
    let width = |c: char| c.width().unwrap_or(0);
    let fits_whole =
        text.chars().map(width).sum::<usize>() <= columns && text.chars().nth(MAX_CHARS).is_none();
    if fits_whole {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |c: &char| {
        used += width(*c);
        used <= columns
    };
    text.chars()
        .take(MAX_CHARS)
        .take_while(fits)
        .chain(['…'])
        .collect()
}

/// A text in exactly `columns`: [`cut`], or padded with spaces.
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let used = fitting::width(&text);
    text + &" ".repeat(columns.saturating_sub(used))
}

/// Bytes in binary units, with one decimal below 100: `512 B`, `1.5 GiB`, `117 MiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // A value that rounds up to 1024 belongs to the next unit.
    let mut tenths = divide_by_1024(u128::from(bytes) * 10);
    let mut unit = 0;
    while tenths >= 10_235 && unit + 1 < UNITS.len() {
        tenths = divide_by_1024(tenths);
        unit += 1;
    }
    let unit = UNITS.get(unit).copied().unwrap_or_default();
    if tenths < 1000 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        format!("{} {unit}", (tenths + 5) / 10)
    }
}

fn divide_by_1024(number: u128) -> u128 {
    (number + 512) / 1024
}

/// Bytes per second.
#[must_use]
pub fn rate(bytes: u64) -> String {
    format!("{}/s", size(bytes))
}

/// A duration in its two largest units: `0.4s`, `12s`, `2m 05s`, `3h 10m`, `4d 02h`. Less than 0.1
/// s is `0s`.
#[must_use]
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 if time.subsec_millis() >= 100 => {
            format!("{seconds}.{}s", time.subsec_millis() / 100)
        }
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A part of a whole in percent, rounded down: 100 only when it is complete.
#[must_use]
pub fn percent(part: u64, whole: u64) -> u64 {
    if part >= whole {
        100
    } else {
        u64::try_from(u128::from(part) * 100 / u128::from(whole)).unwrap_or(99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Title and clipboard (OSC), hyperlinks, CSI, C1, direction overrides, invisible characters,
    /// backspace over text.
    const HOSTILE: &[&str] = &[
        "\x1b]0;title\x07",
        "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\",
        "\x1b]52;c;ZXZpbA==\x07",
        "\x1b[2J\x1b[1;31m",
        "\u{9b}31m\u{9d}0;title\u{9c}",
        "invoice\u{202e}fdp.exe",
        "\u{2066}a\u{2069}\u{200f}\u{61c}",
        "a\u{200b}b\u{feff}c\u{ad}d",
        "safe\r\x08\x08\x08\x08evil",
        "two\nlines\ttab\x7f\0",
        "\u{2028}\u{2029}\u{e0041}",
    ];

    #[test]
    fn safe_text_has_no_terminal_control() {
        for text in HOSTILE {
            let shown = safe(text);
            assert!(!shown.chars().any(is_unsafe), "{shown:?}");
            assert!(shown.contains("\\u{"), "{shown:?}");
        }
        assert_eq!(safe("a\u{1b}[1m\r\nb"), "a\\u{1b}[1m\\u{d}\\u{a}b");
    }

    #[test]
    fn safe_text_keeps_ordinary_names() {
        for text in [
            "",
            "holiday.mov",
            "Müller & Söhne.pdf",
            "写真 2026.jpg",
            "e\u{301}te.txt",
            "a\\b",
        ] {
            assert_eq!(safe(text), text);
        }
    }

    #[test]
    fn long_texts_are_cut_by_columns() {
        assert_eq!(safe(&"a".repeat(256)), "a".repeat(256));
        assert_eq!(safe(&"a".repeat(257)), "a".repeat(255) + "…");
        let wide = safe(&"写".repeat(1000));
        assert_eq!(
            (fitting::width(&wide), wide.chars().last()),
            (255, Some('…'))
        );
        assert_eq!(
            (fit("写", 4), fit("abcdef", 4)),
            ("写  ".into(), "abc…".into())
        );
        let marks = safe(&format!("e{}", "\u{301}".repeat(100_000)));
        assert!(marks.chars().count() <= MAX_CHARS + 1);
    }

    #[test]
    fn size_uses_binary_units() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (102_348, "99.9 KiB"),
            (102_400, "100 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
        assert_eq!(rate(8 << 20), "8.0 MiB/s");
    }

    #[test]
    fn duration_has_at_most_two_units() {
        for (millis, text) in [
            (0, "0s"),
            (6_000, "6s"),
            (460, "0.4s"),
            (12_900, "12s"),
            (125_000, "2m 05s"),
            (11_400_000, "3h 10m"),
            (352_800_000, "4d 02h"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn percent_is_100_only_when_complete() {
        assert_eq!(
            (percent(0, 3), percent(2, 3), percent(3, 3), percent(0, 0)),
            (0, 66, 100, 100)
        );
        assert_eq!(percent(u64::MAX - 1, u64::MAX), 99);
    }
}
