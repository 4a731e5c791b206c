//! What the API server says of an object of ours by itself: the CRD's schema, its structure and its
//! CEL rules, compiled once a kind.
//!
//! In the server's order: nulls of fields that are not nullable are dropped, defaults are filled in,
//! structure is checked, and CEL only where no field is missing, of a wrong type, not in its list or
//! too long. Unknown fields, which the server refuses before all else, are reported beside the rest.

use std::{collections::BTreeSet, sync::OnceLock};

use jsonschema::{ValidationError, error::ValidationErrorKind, paths::LocationSegment};
use kube::core::cel::{CompiledSchema, apply_defaults, compile_schema, validate_compiled};
use serde_json::{Map, Value, json};

use crate::api::{Code, Kind, Problem, final_schema, rules};

/// The compiled schema of a kind.
pub struct Checker {
    kind: Kind,
    schema: Value,
    structure: Result<jsonschema::Validator, String>,
    cel: CompiledSchema,
}

/// What the API server would make of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Why it would refuse it.
    pub problems: Vec<Problem>,
    /// What it would store: without nulls, with defaults; without status, which is not the user's.
    pub object: Value,
}

/// The checker of a kind.
pub fn checker(kind: Kind) -> &'static Checker {
    // One each, made when it is first needed: most inputs hold few kinds.
    static CHECKERS: [OnceLock<Checker>; Kind::ALL.len()] = [const { OnceLock::new() }; Kind::ALL.len()];
    CHECKERS[kind as usize].get_or_init(|| Checker::new(kind))
}

impl Checker {
    fn new(kind: Kind) -> Self {
        let mut schema = final_schema(kind);
        let cel = compile_schema(&schema);
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.remove("status");
            properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
            properties.insert("kind".to_owned(), json!({"type": "string"}));
            properties.insert("metadata".to_owned(), metadata());
        }
        if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
            required.push("metadata".into());
        }
        let mut strict = schema.clone();
        refuse_unknown(&mut strict);
        let structure = jsonschema::validator_for(&strict).map_err(|error| error.to_string());
        Self { kind, schema, structure, cel }
    }

    /// Checks an object.
    pub fn check(&self, object: &Value) -> Checked {
        let mut object = object.clone();
        if let Value::Object(fields) = &mut object {
            fields.remove("status");
        }
        drop_nulls(&self.schema, &mut object);
        let object = with_defaults(&self.schema, object);
        let mut problems = Vec::new();
        match &self.structure {
            Ok(structure) => {
                let errors: Vec<ValidationError<'_>> = structure.iter_errors(&object).collect();
                problems.extend(self.structural(&errors));
                duplicates(&self.schema, &object, "", &mut problems);
                if !errors.iter().any(|error| hides_cel(error.kind())) {
                    problems.extend(self.cel(&object));
                }
            }
            // A fault of ours, and no reason to let anything pass.
            Err(error) => problems.push(Problem::error(
                "spec",
                Code::DecodeFailed,
                format!("the schema of {} is broken: {error}", self.kind),
            )),
        }
        if let Some(name) = object.pointer("/metadata/name").and_then(Value::as_str) {
            problems.extend(rules::OBJECT_NAME.check("metadata.name", name));
        }
        Checked { problems, object }
    }

    fn structural(&self, errors: &[ValidationError<'_>]) -> Vec<Problem> {
        let is_type = |error: &&ValidationError<'_>| matches!(error.kind(), ValidationErrorKind::Type { .. });
        let mistyped: BTreeSet<&str> =
            errors.iter().filter(is_type).map(|error| error.instance_path().as_str()).collect();
        errors
            .iter()
            // A value of another type is in no list either: one fault, one problem.
            .filter(|error| is_type(error) || !mistyped.contains(error.instance_path().as_str()))
            .flat_map(|error| self.problems(error))
            .collect()
    }

    fn problems(&self, error: &ValidationError<'_>) -> Vec<Problem> {
        let path = path(error);
        let one = |code, message: String| vec![Problem::error(path.clone(), code, message)];
        let characters = |limit: u64| if limit == 1 { "character" } else { "characters" };
        let entries = |limit: u64| if limit == 1 { "entry" } else { "entries" };
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.fields(error);
                unexpected
                    .iter()
                    .map(|field| {
                        Problem::error(join(&path, field), Code::FieldUnknown, unknown(self.kind, field, &known))
                    })
                    .collect()
            }
            ValidationErrorKind::Required { property } => {
                let field = property.as_str().unwrap_or_default();
                vec![Problem::error(join(&path, field), Code::FieldRequired, "is required and absent; add it")]
            }
            ValidationErrorKind::Type { .. } => one(Code::FieldType, self.wrong_type(error)),
            ValidationErrorKind::Enum { options } => {
                let options: Vec<&str> = options.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                one(Code::FieldNotSupported, format!("must be {}", options.join(" or ")))
            }
            ValidationErrorKind::MinLength { limit: 1 } => one(Code::FieldLimit, "must not be empty".to_owned()),
            ValidationErrorKind::MinLength { limit } => {
                one(Code::FieldLimit, format!("must have at least {limit} {}", characters(*limit)))
            }
            ValidationErrorKind::MaxLength { limit } => {
                one(Code::FieldLimit, format!("must have at most {limit} {}", characters(*limit)))
            }
            ValidationErrorKind::MinItems { limit } => {
                one(Code::FieldLimit, format!("must have at least {limit} {}", entries(*limit)))
            }
            ValidationErrorKind::MaxItems { limit } => {
                one(Code::FieldLimit, format!("must have at most {limit} {}", entries(*limit)))
            }
            // Nothing else is in the schemas of today. The crate's own sentence would quote the value.
            other => {
                one(Code::FieldLimit, format!("is outside of the limit that the schema sets by {}", other.keyword()))
            }
        }
    }

    /// The part of the schema that an error speaks of.
    fn place(&self, error: &ValidationError<'_>) -> Option<&Value> {
        error.instance_path().iter().try_fold(&self.schema, |schema, segment| match segment {
            LocationSegment::Index(_) => schema.get("items"),
            LocationSegment::Property(name) => schema
                .get("properties")
                .and_then(|properties| properties.get(name.as_ref()))
                .or_else(|| schema.get("additionalProperties")),
        })
    }

    fn fields(&self, error: &ValidationError<'_>) -> Vec<&str> {
        let properties = self.place(error).and_then(|schema| schema.get("properties")).and_then(Value::as_object);
        properties.into_iter().flat_map(Map::keys).map(String::as_str).collect()
    }

    fn wrong_type(&self, error: &ValidationError<'_>) -> String {
        let wanted =
            self.place(error).and_then(|schema| schema.get("type")).and_then(Value::as_str).unwrap_or_default();
        wrong_type(wanted, error.instance().as_ref())
    }

    fn cel(&self, object: &Value) -> Vec<Problem> {
        let errors = validate_compiled(&self.cel, object, None).err().into_iter().flatten();
        errors
            .map(|error| match error.message.split_once(": ") {
                Some((code, message)) if Code::ALL.iter().any(|known| known.as_str() == code) => {
                    Problem { code: code.to_owned(), ..Problem::error(error.field_path, Code::DecodeFailed, message) }
                }
                // A rule that cannot be evaluated: a fault of ours, and no reason to let anything pass.
                _ => Problem::error(
                    error.field_path,
                    Code::DecodeFailed,
                    "could not be checked by the rule of the schema",
                ),
            })
            .collect()
    }
}

/// Entries of lists that may not hold two alike: sets, and lists whose entries have a key.
fn duplicates(schema: &Value, value: &Value, path: &str, problems: &mut Vec<Problem>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(schema) = schema.get("properties").and_then(|properties| properties.get(name)) {
                    duplicates(schema, value, &join(path, name), problems);
                }
            }
        }
        Value::Array(entries) => {
            let keys: Option<Vec<&str>> = match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
                Some("set") => Some(vec![]),
                Some("map") => {
                    let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
                    Some(keys.into_iter().flatten().filter_map(Value::as_str).collect())
                }
                _ => None,
            };
            let alike = |a: &Value, b: &Value| match keys.as_deref() {
                None => false,
                Some([]) => a == b,
                Some(keys) => keys.iter().all(|key| a.get(key).is_some() && a.get(key) == b.get(key)),
            };
            for (i, entry) in entries.iter().enumerate() {
                let path = format!("{path}[{i}]");
                if entries[..i].iter().any(|earlier| alike(earlier, entry)) {
                    let what = match keys.as_deref() {
                        Some([key]) => format!("has the same {key} as an entry before it; keep one of the two"),
                        _ => "is in the list already; keep one of the two".to_owned(),
                    };
                    problems.push(Problem::error(path.as_str(), Code::FieldDuplicate, what));
                }
                if let Some(schema) = schema.get("items") {
                    duplicates(schema, entry, &path, problems);
                }
            }
        }
        _ => {}
    }
}

/// What is wrong with a value of another type than `wanted`; never the value.
pub fn wrong_type(wanted: &str, found: &Value) -> String {
    let name = |type_: &str| match type_ {
        "object" => "a mapping",
        "array" => "a list",
        "boolean" => "true or false",
        "integer" | "number" => "a number",
        _ => "a string",
    };
    let (found, scalar) = match found {
        Value::Null => ("nothing", true),
        Value::Bool(_) => ("a boolean", true),
        Value::Number(_) => ("a number", true),
        Value::String(_) => ("a string", false),
        Value::Array(_) => ("a list", false),
        Value::Object(_) => ("a mapping", false),
    };
    let fix = if wanted == "string" && scalar { "; put it in quotes" } else { "" };
    format!("must be {}, not {found}{fix}", name(wanted))
}

fn unknown(kind: Kind, field: &str, known: &[&str]) -> String {
    match known.iter().find(|known| known.eq_ignore_ascii_case(field)) {
        Some(meant) => format!("{kind} has no such field; is {meant} meant?"),
        None => format!("{kind} has no such field here; there are: {}", known.join(", ")),
    }
}

/// Errors for which the API server leaves CEL out.
fn hides_cel(kind: &ValidationErrorKind) -> bool {
    matches!(
        kind,
        ValidationErrorKind::Required { .. }
            | ValidationErrorKind::Type { .. }
            | ValidationErrorKind::Enum { .. }
            | ValidationErrorKind::MaxLength { .. }
            | ValidationErrorKind::MaxItems { .. }
            | ValidationErrorKind::MaxProperties { .. }
    )
}

/// A path as Kubernetes writes it: `spec.items[0].name`.
fn path(error: &ValidationError<'_>) -> String {
    error.instance_path().iter().fold(String::new(), |path, segment| match segment {
        LocationSegment::Property(name) => join(&path, &name),
        LocationSegment::Index(index) => format!("{path}[{index}]"),
    })
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// The metadata of an object, which a CRD's schema does not hold.
fn metadata() -> Value {
    let strings = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 253},
            "generateName": {"type": "string"},
            "namespace": {"type": "string"},
            "labels": strings,
            "annotations": strings,
            "uid": {"type": "string"},
            "resourceVersion": {"type": "string"},
            "generation": {"type": "integer"},
            "creationTimestamp": {"type": "string"},
            "deletionTimestamp": {"type": "string"},
            "deletionGracePeriodSeconds": {"type": "integer"},
            "ownerReferences": {"type": "array"},
            "finalizers": {"type": "array", "items": {"type": "string"}},
            "managedFields": {"type": "array"},
            "selfLink": {"type": "string"},
        },
    })
}

/// Closes every mapping whose fields are listed.
fn refuse_unknown(schema: &mut Value) {
    let Value::Object(schema) = schema else { return };
    if schema.contains_key("properties") && !schema.contains_key("x-kubernetes-preserve-unknown-fields") {
        schema.entry("additionalProperties").or_insert(false.into());
    }
    for property in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        refuse_unknown(property);
    }
    for key in ["items", "additionalProperties"] {
        schema.get_mut(key).into_iter().for_each(refuse_unknown);
    }
}

/// Drops nulls as the API server does: a null counts as absent, unless the field is nullable.
fn drop_nulls(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let of = |name: &str| {
                schema
                    .get("properties")
                    .and_then(|properties| properties.get(name))
                    .or_else(|| schema.get("additionalProperties"))
            };
            fields.retain(|name, value| {
                let nullable = |schema: &Value| schema.get("nullable") == Some(&Value::Bool(true));
                !value.is_null() || of(name).is_none_or(nullable)
            });
            for (name, value) in fields.iter_mut() {
                if let Some(schema) = of(name) {
                    drop_nulls(schema, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| drop_nulls(schema, item));
            }
        }
        _ => {}
    }
}

/// Fills in defaults. One pass leaves out what is below a default that it has just filled in, which
/// the API server does not.
fn with_defaults(schema: &Value, mut object: Value) -> Value {
    loop {
        let filled = apply_defaults(schema, &object);
        if filled == object {
            return object;
        }
        object = filled;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_compiles() {
        fn rules(cel: &CompiledSchema) -> usize {
            assert!(!cel.has_errors(), "{:?}", cel.compilation_errors());
            let items = cel.items.as_deref().map_or(0, rules);
            cel.validations.len() + items + cel.properties.values().map(rules).sum::<usize>()
        }
        for kind in Kind::ALL.iter().copied() {
            let checker = checker(kind);
            assert!(checker.structure.is_ok(), "{kind}");
            assert!(rules(&checker.cel) > 3, "{kind}");
        }
    }

    #[test]
    fn defaults_reach_below_defaults_and_nulls_count_as_absent() {
        let installation = json!({
            "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "TimbrInstallation",
            "metadata": {"name": "a", "creationTimestamp": null, "labels": {"x": null}},
            "spec": {"components": {"platform": null, "server": {"deployment": null, "container": "c"}}, "suspend": null},
            "status": {"anything": 1},
        });
        let checked = checker(Kind::TimbrInstallation).check(&installation);
        assert_eq!(checked.problems, []);
        assert_eq!(
            checked.object,
            json!({
                "apiVersion": "identity.timbr.ai/v1alpha1", "kind": "TimbrInstallation",
                "metadata": {"name": "a", "labels": {}},
                "spec": {
                    "components": {
                        "platform": {"deployment": "timbr-platform"},
                        "server": {"deployment": "timbr-server", "container": "c"},
                        "api": {"deployment": "timbr-api"},
                    },
                    "delivery": "Patch",
                    "onConflict": "Report",
                    "accessPolicy": "Optional",
                    "rollout": "WhenVerified",
                    "suspend": false,
                },
            })
        );
    }
}
