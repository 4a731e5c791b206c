fn main() { for c in timbr_identity::api::crds() { println!("{}", serde_json::to_string_pretty(&c).unwrap()); } }
