//! The webhook's certificate with its key and the authorities, as the Secret holds them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::api::Sensitive;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use x509_parser::{extensions::GeneralName, prelude::FromDer as _};

use super::step::{Dated, Held, Life};

/// The certificates' validity begins this long before they are made: clocks differ.
const SKEW: SignedDuration = SignedDuration::from_hours(1);

/// Keys of the Secret; those of cert-manager's, and one more.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";

/// A certificate with its key, and who vouches for it.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// PEM, the newest first.
    authorities: Vec<String>,
    /// Of the newest; `None` when somebody else makes the certificates.
    authority_key: Option<Sensitive>,
    certificate: String,
    key: Sensitive,
}

/// Why there is no certificate. Says nothing of keys.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The Secret lacks something.
    #[error("has no {0}, or none that can be read")]
    Missing(&'static str),
    /// No certificate could be made.
    #[error("no certificate could be made: {0}")]
    Made(#[from] rcgen::Error),
}

impl Bundle {
    /// Reads what a Secret holds.
    ///
    /// # Errors
    /// When it holds no certificate with its key.
    pub fn read(data: &BTreeMap<String, ByteString>) -> Result<Self, BundleError> {
        let text = |key: &'static str| {
            let bytes = data.get(key).map(|bytes| bytes.0.clone());
            bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(BundleError::Missing(key))
        };
        let bundle = Self {
            authorities: split(&text(AUTHORITIES).unwrap_or_default()),
            authority_key: text(AUTHORITY_KEY).ok().map(|key| key.as_str().into()),
            certificate: text(CERTIFICATE)?,
            key: text(KEY)?.as_str().into(),
        };
        bundle.certified().map(|_| bundle)
    }

    /// What the Secret is to hold.
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let authority_key = self.authority_key.as_ref().map(|key| (AUTHORITY_KEY, key.expose().to_vec()));
        let fields = [
            (CERTIFICATE, self.certificate.clone().into_bytes()),
            (KEY, self.key.expose().to_vec()),
            (AUTHORITIES, self.ca_bundle().into_bytes()),
        ];
        let fields = fields.into_iter().chain(authority_key);
        fields.map(|(key, bytes)| (key.to_owned(), ByteString(bytes))).collect()
    }

    /// Who is to be trusted, PEM.
    pub fn ca_bundle(&self) -> String {
        self.authorities.concat()
    }

    /// The newest authority, PEM.
    pub fn newest(&self) -> &str {
        self.authorities.first().map_or("", String::as_str)
    }

    /// What there is, as far as it matters when it is renewed; `None` when it cannot be read.
    pub fn held(&self) -> Option<Held> {
        self.authority_key.as_ref()?;
        let authorities = self.authorities.iter().map(|pem| dated(pem)).collect::<Option<_>>()?;
        Some(Held { authorities, leaf: dated(&self.certificate)? })
    }

    /// An authority and a certificate by it.
    ///
    /// # Errors
    /// When none can be made.
    pub fn anew(names: &BTreeSet<String>, life: Life, now: Timestamp) -> Result<Self, BundleError> {
        let (authority, authority_key) = authority(life, now)?;
        let nothing = Self {
            authorities: vec![authority],
            authority_key: Some(authority_key),
            certificate: String::new(),
            key: "".into(),
        };
        nothing.signed(names, life, now)
    }

    /// The same with another authority, which is the newest then.
    ///
    /// # Errors
    /// When none can be made.
    pub fn with_authority(&self, life: Life, now: Timestamp) -> Result<Self, BundleError> {
        let (authority, authority_key) = authority(life, now)?;
        let mut bundle = Self { authority_key: Some(authority_key), ..self.clone() };
        bundle.authorities.insert(0, authority);
        Ok(bundle)
    }

    /// The same with another certificate, by the newest authority.
    ///
    /// # Errors
    /// When none can be made.
    pub fn signed(&self, names: &BTreeSet<String>, life: Life, now: Timestamp) -> Result<Self, BundleError> {
        let signer = self.authority_key.as_ref().and_then(|key| std::str::from_utf8(key.expose()).ok());
        let signer = KeyPair::from_pem(signer.ok_or(BundleError::Missing(AUTHORITY_KEY))?)?;
        let signer = Issuer::from_ca_cert_pem(self.newest(), signer)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
        validity(&mut params, life.leaf, now);
        params.distinguished_name = common_name("timbr-identity-operator webhook".to_owned());
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &signer)?.pem();
        Ok(Self { certificate, key: pem(&key), ..self.clone() })
    }

    /// The same with no authority but the newest.
    pub fn forgetting(&self) -> Self {
        Self { authorities: self.authorities.iter().take(1).cloned().collect(), ..self.clone() }
    }

    /// What the server shows.
    ///
    /// # Errors
    /// When certificate or key cannot be read.
    pub fn certified(&self) -> Result<CertifiedKey, BundleError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(BundleError::Missing(CERTIFICATE))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.expose()).ok();
        let key = key.and_then(|key| rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).ok());
        Ok(CertifiedKey::new(chain, key.ok_or(BundleError::Missing(KEY))?))
    }
}

fn authority(life: Life, now: Timestamp) -> Result<(String, Sensitive), BundleError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    validity(&mut params, life.authority, now);
    // A name of its own: by it a certificate tells which authority has signed it.
    params.distinguished_name = common_name(format!("timbr-identity-operator CA {:016x}", rand::random::<u64>()));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let its_key = pem(&key);
    Ok((CertifiedIssuer::self_signed(params, key)?.pem(), its_key))
}

/// A key as the Secret holds it.
fn pem(key: &KeyPair) -> Sensitive {
    Sensitive::new(key.serialize_pem().into_bytes())
}

fn common_name(name: String) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn validity(params: &mut CertificateParams, life: SignedDuration, now: Timestamp) {
    let moment = |at: Timestamp| time::OffsetDateTime::from_unix_timestamp(at.as_second());
    if let (Ok(from), Ok(to)) = (moment(now - SKEW), moment(now + life)) {
        (params.not_before, params.not_after) = (from, to);
    }
}

/// Each certificate of a text.
fn split(pem: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----\n";
    pem.split_inclusive(END).filter(|part| part.trim_end().ends_with(END.trim_end())).map(str::to_owned).collect()
}

/// A certificate, as far as it matters when it is renewed.
fn dated(pem: &str) -> Option<Dated> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&der).ok()?;
    let moment = |at: i64| Timestamp::from_second(at).ok();
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.into_iter().flat_map(|names| names.value.general_names.iter().filter_map(name));
    Some(Dated {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        made: moment(certificate.validity().not_before.timestamp())? + SKEW,
        ends: moment(certificate.validity().not_after.timestamp())?,
        names: names.collect(),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).ok().map(IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).ok().map(IpAddr::from);
            v4.or_else(v6).map(|address| address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_made_is_read_back_from_a_secret() {
        let now: Timestamp = "2030-01-01T00:00:00Z".parse().expect("a time");
        let life = Life::default();
        let wanted = names(&["127.0.0.1", "::1", "webhook.ns.svc"]);
        let made = Bundle::anew(&wanted, life, now).expect("a bundle");
        let read = Bundle::read(&made.data()).expect("a bundle");
        let held = read.held().expect("what is held");
        assert_eq!(held.leaf.names, wanted);
        assert_eq!((held.leaf.made, held.leaf.ends), (now, now + life.leaf));
        assert_eq!(held.authorities.len(), 1);
        assert_eq!((held.authorities[0].made, held.authorities[0].ends), (now, now + life.authority));
        assert_eq!(held.leaf.issuer, held.authorities[0].subject);
        assert!(!format!("{read:?}").contains("PRIVATE"));

        let added = read.with_authority(life, now).expect("an authority");
        let of_added = added.held().expect("what is held");
        assert_eq!(of_added.authorities[1..], held.authorities);
        assert_eq!(of_added.leaf, held.leaf);
        let signed = Bundle::read(&added.signed(&wanted, life, now).expect("a certificate").data()).expect("a bundle");
        assert_eq!(signed.held().expect("what is held").leaf.issuer, of_added.authorities[0].subject);
        let forgotten = signed.forgetting();
        assert_eq!(forgotten.ca_bundle(), added.newest());
        assert_eq!(forgotten.held().expect("what is held").authorities, of_added.authorities[..1]);
    }

    #[test]
    fn what_is_no_certificate_is_told() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365);
        let made = Bundle::anew(&names(&["a"]), Life::default(), now).expect("a bundle").data();
        let without = |key: &str, value: Option<&str>| {
            let mut data = made.clone();
            match value {
                Some(value) => data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec())),
                None => data.remove(key),
            };
            Bundle::read(&data)
        };
        for key in [CERTIFICATE, KEY] {
            for value in [None, Some(""), Some("no PEM")] {
                let error = without(key, value).expect_err("no bundle").to_string();
                assert_eq!(error, format!("has no {key}, or none that can be read"));
            }
        }
        // Of cert-manager's there is no authority's key: nobody renews it here.
        assert_eq!(without(AUTHORITY_KEY, None).expect("a bundle").held(), None);
    }
}
