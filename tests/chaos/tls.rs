//! TLS that cannot be trusted is not spoken, and not tried again; TLS that breaks off is.
//!
//! Border: certificates and handshakes.
