//! Files that hold what is expected: `UPDATE_CASES=1` writes them anew, for a person to read and commit.

use std::env;

/// Whether expected files are to be written.
///
/// # Panics
/// In CI, where nobody looks at what has changed.
pub fn update() -> bool {
    let var = |name: &str| env::var(name).ok();
    may_update(var("UPDATE_CASES").as_deref(), var("CI").as_deref()).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn may_update(update: Option<&str>, ci: Option<&str>) -> Result<bool, &'static str> {
    match (update, ci) {
        (Some("1"), None) => Ok(true),
        (Some("1"), Some(_)) => {
            Err("UPDATE_CASES is refused in CI: write the expected files where a person reads them")
        }
        _ => Ok(false),
    }
}

#[test]
fn expected_files_are_not_written_in_ci() {
    assert_eq!(may_update(Some("1"), None), Ok(true));
    assert!(may_update(Some("1"), Some("true")).is_err() && may_update(Some("1"), Some("")).is_err());
    assert_eq!(may_update(None, Some("true")), Ok(false));
    assert_eq!(may_update(Some("0"), None), Ok(false));
}
