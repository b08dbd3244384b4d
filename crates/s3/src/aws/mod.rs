//! The conventions of AWS: configuration files and environment variables, the endpoints of
//! services, and the chain that provides credentials.
//!
//! Not here: signatures and the cache of the credential ([`crate::signing`]). The conventions are
//! those of the "AWS SDKs and Tools Reference Guide".
//!
//! | file | |
//! |---|---|
//! | `sections` | the text of a configuration file as sections of settings; pure |
//! | `shared_config` | the configuration files and the environment |
//! | `endpoint` | the hosts of AWS, and endpoints that the configuration names |
//! | `service_call` | requests to credential services |
//! | `static_keys`, `process`, `container`, `instance`, `sso`, `sts` | one source of credentials each |
//! | `profile` | the credential of a profile, which may need those of another |
//! | `chain` | the sources in their order |

mod chain;
mod container;
mod endpoint;
mod instance;
mod process;
mod profile;
mod sections;
mod service_call;
mod shared_config;
mod sso;
mod static_keys;
mod sts;

pub(crate) use chain::Chain;
pub use endpoint::ConfiguredEndpoint;
pub(crate) use endpoint::Variant;
pub(crate) use shared_config::Fingerprint;
pub use shared_config::SharedConfig;
