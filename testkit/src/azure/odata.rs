//! The part of OData that Graph is asked in: a key in a path, a filter of one comparison, a selection.

use serde_json::{Map, Value};

/// A property, and the text that it is to equal.
type Equals<'a> = (&'a str, String);

/// `applications` or `applications(appId='…')`: the collection, and the key's property and value.
pub(super) fn segment(segment: &str) -> Result<(&str, Option<Equals<'_>>), String> {
    let Some((collection, key)) = segment.split_once('(') else {
        return Ok((segment, None));
    };
    let (property, literal) = key
        .strip_suffix(')')
        .and_then(|key| key.split_once('='))
        .ok_or_else(|| format!("the key of {segment:?} is not property='value'"))?;
    Ok((collection, Some((property, string(literal)?))))
}

/// `displayName eq 'o''x'`: the property and the value.
pub(super) fn filter(filter: &str) -> Result<Equals<'_>, String> {
    let (property, literal) =
        filter.split_once(" eq ").ok_or_else(|| format!("the filter {filter:?} is not property eq 'value'"))?;
    Ok((property, string(literal)?))
}

/// A string in single quotes; one in it is written twice.
fn string(literal: &str) -> Result<String, String> {
    let wrong = || format!("{literal} is no string in single quotes, with those in it doubled");
    let inner = literal.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).ok_or_else(wrong)?;
    let doubled = inner.split("''").all(|part| !part.contains('\''));
    if doubled { Ok(inner.replace("''", "'")) } else { Err(wrong()) }
}

/// Only the properties of this selection, each of which must be one.
pub(super) fn select(object: &Map<String, Value>, selection: &str) -> Result<Map<String, Value>, String> {
    let property = |name: &str| {
        let value = object.get(name).ok_or_else(|| format!("Could not find a property named '{name}'."))?;
        Ok((name.to_owned(), value.clone()))
    };
    selection.split(',').map(property).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_strictly_is_read() {
        for (text, expected) in [
            ("displayName eq 'a b'", Some(("displayName", "a b"))),
            ("mail eq 'o''x@example.com'", Some(("mail", "o'x@example.com"))),
            ("mail eq ''''", Some(("mail", "'"))),
            ("mail eq ''", Some(("mail", ""))),
            ("mail eq 'o'x'", None),
            ("mail eq '''", None),
            ("mail eq '", None),
            ("mail eq \"x\"", None),
            ("mail eq x", None),
            ("mail  eq  'x'", None),
            ("startswith(mail,'x')", None),
            ("mail eq 'x' or mail eq 'y'", None),
            ("", None),
        ] {
            let read = filter(text).ok();
            assert_eq!(read.as_ref().map(|(property, value)| (*property, &**value)), expected, "{text}");
        }
        assert_eq!(segment("groups"), Ok(("groups", None)));
        assert_eq!(segment("applications(appId='a''b')"), Ok(("applications", Some(("appId", "a'b".to_owned())))));
        for wrong in ["applications(appId=a)", "applications('a')", "applications(appId='a'", "applications()"] {
            assert!(segment(wrong).is_err(), "{wrong}");
        }
    }
}
