//! Settings: flags override the environment, which overrides the configuration file, which
//! overrides the defaults.
//!
//! Every value is checked here, once, and is kept with its origin, for `upload config`. Opens no
//! files except the configuration file and those of token, headers and certificates.

mod aws;
mod effective;
mod environment;
mod headers;
mod lookup;
mod origin;
mod precedence;
mod resolve;
mod target;
#[cfg(test)]
mod tests;
mod token;
mod values;

pub use effective::EffectiveSetting;
pub use environment::Environment;
#[cfg(test)]
pub use environment::{Directories, Terminals};
pub use lookup::Settings;
pub use origin::Origin;
pub use target::Target;
pub use values::{Connection, PutOptions, Transfer};
