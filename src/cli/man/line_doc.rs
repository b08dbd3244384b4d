//! The description of one type of line of `--json`.

/// One type of line.
#[derive(Clone, Copy)]
pub struct LineDoc {
    /// The value of `type`.
    pub kind: &'static str,
    pub meaning: &'static str,
    pub fields: &'static [FieldDoc],
}

/// Name, JSON type and meaning of a field.
pub struct FieldDoc(pub &'static str, pub &'static str, pub &'static str);
