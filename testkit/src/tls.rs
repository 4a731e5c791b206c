//! A bare TLS connection, for requests that no HTTP client would send.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::certificates::use_aws_lc;

/// Connects to a server that shows a certificate of this authority (PEM).
///
/// # Panics
/// When it cannot be reached, or shows another.
pub async fn connect(address: SocketAddr, authority: &str) -> TlsStream<TcpStream> {
    use_aws_lc();
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate.expect("a certificate")).expect("an authority");
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await.expect("a connection");
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(address.ip().into(), stream).await.expect("a handshake")
}
