//! Settings: flags override the environment, which overrides the configuration file, which
//! overrides the defaults.
//!
//! Every value is checked here, once, and knows its origin, for `upload config`. Opens no files but
//! the configuration file and those of token and headers.

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
