//! Who may use a component: a table that people can read, an oracle, and laws.

mod cases;
mod evaluator;
#[path = "../golden/mod.rs"]
mod golden;
mod laws;
mod listing;
mod matrix;
mod messages;
mod network;
mod oracle;
mod question;
mod world;
