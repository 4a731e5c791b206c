//! `render` and `validate`, as people run them.

#[path = "offline/access.rs"]
mod access;
#[path = "offline/by_hand.rs"]
mod by_hand;
#[path = "offline/by_hand_lint.rs"]
mod by_hand_lint;
#[path = "offline/explain.rs"]
mod explain;
#[path = "offline/import.rs"]
mod import;
#[path = "offline/import_law.rs"]
mod import_law;
#[path = "offline/input.rs"]
mod input;
#[path = "offline/portal.rs"]
mod portal;
#[path = "offline/references.rs"]
mod references;
#[path = "offline/render.rs"]
mod render;
#[path = "offline/run.rs"]
mod run;
#[path = "offline/validate.rs"]
mod validate;

mod bad_input;
mod golden;
