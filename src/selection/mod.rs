//! The selection of sources: directories that are walked, filters, and lists of paths.
//!
//! A selection is a stream: nothing here keeps the paths that it has returned, except of a
//! directory while it is read. Not here: the bytes of files (`source`), and the requests that
//! follow (`cli`).
//!
//! | file | content |
//! |---|---|
//! | `pattern` | [`Pattern`]: one line of the language of `.gitignore` |
//! | `filters` | [`Filters`]: include, exclude, size, age, junk |
//! | `ignore_files` | `.gitignore` and others, nested |
//! | `names` | the relative path of a file as text |
//! | `walk` | [`Walk`]: the files below a directory |
//! | `path_list` | [`PathList`]: paths from a file or from standard input |
//! | `path_map` | [`PathMap`]: JSON lines with a path and its attributes |
//! | `listed_paths` | the relative path of a listed file; each file once |

mod filters;
mod ignore_files;
mod listed_paths;
mod names;
mod path_list;
mod path_map;
mod pattern;
mod selection_results;
mod walk;

pub use filters::{Age, Filters, Rule, Rules};
pub use ignore_files::IgnoreFiles;
pub use listed_paths::{Base, SeenPaths, Unnamed, relative, relative_to};
pub use names::{file_name, root_name};
pub use path_list::{Line, PathList, Separator};
pub use path_map::PathMap;
pub use pattern::{Case, Pattern};
pub use selection_results::{Attributes, Found, Reason, Selected};
pub use walk::{Links, Walk, WalkOptions};
