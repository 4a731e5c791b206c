//! What a scalar means: the rules of YAML 1.1 as kubectl has them.

use serde_json::{Number, Value};
use serde_saphyr::granit_parser::{ScalarStyle, Tag};

use super::{error::Problem, reader::CORE_TAGS};

/// What a scalar means to kubectl's reader.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Integer(i64),
    /// An integer beyond those of the sort above.
    Unsigned(u64),
    Float(f64),
    Text(String),
}

impl Scalar {
    /// What a scalar of this style and tag means.
    pub(super) fn new(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Self, Problem> {
        let Some(tag) = tag else {
            return Ok(match style {
                ScalarStyle::Plain => Self::plain(text),
                _ => Self::Text(text.to_owned()),
            });
        };
        let name = tag.suffix_in_namespace(CORE_TAGS);
        match (name.as_deref(), Self::plain(text)) {
            (Some("binary"), _) => Err(Problem::Binary),
            (Some("null"), Self::Null) => Ok(Self::Null),
            (Some("bool"), scalar @ Self::Bool(_))
            | (Some("int"), scalar @ (Self::Integer(_) | Self::Unsigned(_)))
            | (Some("float"), scalar @ Self::Float(_)) => Ok(scalar),
            #[expect(clippy::cast_precision_loss, reason = "what the tag asks for")]
            (Some("float"), Self::Integer(integer)) => Ok(Self::Float(integer as f64)),
            (Some(name @ ("null" | "bool" | "int" | "float")), _) => Err(Problem::Tag(name.to_owned())),
            // A tag of an application, or the tag of a string, or of a date, which is one in JSON.
            _ => Ok(Self::Text(text.to_owned())),
        }
    }

    /// What a scalar without quotes and tag means.
    pub(super) fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Self::Null,
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                return Self::Bool(true);
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
                return Self::Bool(false);
            }
            ".nan" | ".NaN" | ".NAN" => return Self::Float(f64::NAN),
            ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
                return Self::Float(f64::INFINITY);
            }
            "-.inf" | "-.Inf" | "-.INF" => return Self::Float(f64::NEG_INFINITY),
            _ => {}
        }
        let number = match text.as_bytes()[0] {
            b'+' | b'-' | b'0'..=b'9' => number(&text.replace('_', "")),
            b'.' if underscores_are_between_digits(text) => number(&text.replace('_', "")),
            _ => None,
        };
        number.unwrap_or_else(|| Self::Text(text.to_owned()))
    }

    pub(super) fn into_value(self, text: &str) -> Result<Value, Problem> {
        let number = match self {
            Self::Null => Some(Value::Null),
            Self::Bool(value) => Some(value.into()),
            Self::Integer(value) => Some(value.into()),
            // Kubernetes' integers end at 64 bits with a sign; it takes larger ones for floats.
            #[expect(clippy::cast_precision_loss, reason = "Kubernetes loses it")]
            Self::Unsigned(value) => float(value as f64),
            Self::Float(value) => float(value),
            Self::Text(value) => Some(value.into()),
        };
        number.ok_or_else(|| Problem::NotFinite(text.to_owned()))
    }

    /// The key that this stands for: keys are strings in JSON.
    pub(super) fn into_key(self) -> Result<String, Problem> {
        match self {
            Self::Null => Err(Problem::Key("null")),
            Self::Unsigned(_) => Err(Problem::Key("an integer of this size")),
            Self::Bool(value) => Ok(value.to_string()),
            Self::Integer(value) => Ok(value.to_string()),
            Self::Float(value) => Ok(float_key(value)),
            Self::Text(value) => Ok(value),
        }
    }
}

/// The stricter rule for numbers that start with a dot.
fn underscores_are_between_digits(text: &str) -> bool {
    text.split('_').zip(text.split('_').skip(1)).all(|(left, right)| {
        left.ends_with(|c: char| c.is_ascii_digit()) && right.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// The number that a text without underscores is to kubectl's reader.
fn number(text: &str) -> Option<Scalar> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'+' => ("", &text[1..]),
        b'-' => ("-", &text[1..]),
        _ => ("", text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', _, ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', _, ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', _, ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // Rust's parsers would take a second sign.
    if digits.starts_with(|c: char| c.is_digit(radix)) {
        if let Ok(integer) = i64::from_str_radix(&format!("{sign}{digits}"), radix) {
            return Some(Scalar::Integer(integer));
        }
        if text.as_bytes()[0].is_ascii_digit()
            && let Ok(integer) = u64::from_str_radix(digits, radix)
        {
            return Some(Scalar::Unsigned(integer));
        }
    }
    // Rust's `inf` and `nan` are text here, and so is what is too large for a float.
    if text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
        return text.parse().ok().filter(|float: &f64| float.is_finite()).map(Scalar::Float);
    }
    // An oddity of kubectl's reader: a sign may also stand behind `0b`.
    i64::from_str_radix(text.strip_prefix("0b")?, 2).ok().map(Scalar::Integer)
}

/// A float on its way through JSON, where `1.0` and `1e3` are written `1` and `1000` and so are
/// integers to the next reader. None if JSON doesn't have it.
pub(super) fn float(value: f64) -> Option<Value> {
    match value.to_string().parse::<i64>() {
        Ok(integer) => Some(integer.into()),
        Err(_) => Number::from_f64(value).map(Value::Number),
    }
}

/// A float as a key, in kubectl's spelling: of single precision, and with an exponent that has two
/// digits from 1e+06 on and below 1e-04.
#[expect(clippy::cast_possible_truncation, reason = "kubectl's spelling")]
fn float_key(value: f64) -> String {
    let value = value as f32;
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    match scientific.split_once('e') {
        Some((mantissa, exponent)) => match exponent.parse::<i32>() {
            Ok(exponent) if !(-4..6).contains(&exponent) => {
                let sign = if exponent < 0 { '-' } else { '+' };
                format!("{mantissa}e{sign}{:02}", exponent.abs())
            }
            _ => value.to_string(),
        },
        None => value.to_string(),
    }
}
