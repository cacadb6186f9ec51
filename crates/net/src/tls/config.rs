//! What TLS on TCP offers and accepts.
//!
//! Invariants: TLS 1.3 only; both sides present exactly one Ed25519 raw public key; a dialer that
//! knows whom it wants stops before it shows its own key to anybody else.

use std::sync::Arc;

use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    ServerConfig, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, ResolvesClientCert, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, ring, verify_tls13_signature_with_raw_key},
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime, alg_id,
    },
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::{CertifiedKey, public_key_to_spki},
    version::TLS13,
};
use zeroize::Zeroizing;

/// The protocol name of the lane in ALPN (RFC 7301).
pub(crate) const LANE_ALPN: &[u8] = b"warren-lane/1";

/// PKCS#8 header (RFC 8410 section 7) before the 32 bytes of an Ed25519 seed.
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The cryptography of both lanes: hybrid post-quantum key agreement first, then X25519;
/// AES-256-GCM first (QUIC's token keys demand a 32-byte key in the first suite).
///
/// Records are sealed by ring: on processors with VAES but without AVX-512 its AES-GCM is twice as fast as that of
/// aws-lc-rs (5.0 against 2.3 GB/s measured), on those with AVX-512 a seventh slower.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519MLKEM768, aws_lc_rs::kx_group::X25519];
    provider.cipher_suites = vec![
        ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
        ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        // QUIC protects its first packets with this one (RFC 9001 section 5.2).
        ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
    ];
    Arc::new(provider)
}

/// The device's TLS identity and what it offers on TCP.
#[derive(Clone)]
pub(crate) struct LaneTls {
    provider: Arc<CryptoProvider>,
    key: Arc<CertifiedKey>,
    pub(crate) server: Arc<ServerConfig>,
}

impl LaneTls {
    /// From the seed of the device's Ed25519 key.
    pub(crate) fn new(seed: &[u8; 32]) -> Result<Self, Error> {
        let mut provider = CryptoProvider::clone(&provider());
        provider.cipher_suites.retain(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
        Self::with_provider(seed, Arc::new(provider))
    }

    /// From the seed of the device's Ed25519 key, with this cryptography.
    pub(crate) fn with_provider(seed: &[u8; 32], provider: Arc<CryptoProvider>) -> Result<Self, Error> {
        let key = certified_key(seed)?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(RawKeyVerifier { expected: None }))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key.clone())));
        server.alpn_protocols = vec![LANE_ALPN.to_vec()];
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { provider, key, server: Arc::new(server) })
    }

    /// Dials as this device and goes on only if `expected` answers.
    pub(crate) fn client(&self, expected: [u8; 32]) -> Result<Arc<ClientConfig>, Error> {
        let config = self
            .client_builder(Some(expected))?
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(self.key.clone())));
        Ok(finish_client(config))
    }

    /// Dials without showing a key, to learn whose key answers.
    pub(crate) fn anonymous(&self) -> Result<Arc<ClientConfig>, Error> {
        Ok(finish_client(self.client_builder(None)?.with_client_cert_resolver(Arc::new(Nobody))))
    }

    fn client_builder(
        &self,
        expected: Option<[u8; 32]>,
    ) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>, Error> {
        Ok(ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(RawKeyVerifier { expected })))
    }
}

/// Speaks of raw public keys as everybody does, and shows none.
#[derive(Debug)]
struct Nobody;

impl ResolvesClientCert for Nobody {
    fn resolve(&self, _root_hint_subjects: &[&[u8]], _sigschemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        false
    }
}

fn finish_client(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![LANE_ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Arc::new(config)
}

fn certified_key(seed: &[u8; 32]) -> Result<Arc<CertifiedKey>, Error> {
    let pkcs8 = Zeroizing::new([&PKCS8_ED25519[..], seed].concat());
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8.as_slice()));
    let key = aws_lc_rs::sign::any_eddsa_type(match &der {
        PrivateKeyDer::Pkcs8(pkcs8) => pkcs8,
        _ => return Err(Error::General("not PKCS#8".into())),
    })?;
    let spki = key.public_key().ok_or_else(|| Error::General("an Ed25519 key without its public half".into()))?;
    let cert = CertificateDer::from(spki.as_ref().to_vec());
    Ok(Arc::new(CertifiedKey::new(vec![cert], key)))
}

/// The Ed25519 key inside a `SubjectPublicKeyInfo` (RFC 8410 section 4), if it is exactly that.
pub(crate) fn key_from_spki(spki: &[u8]) -> Option<[u8; 32]> {
    let key = <[u8; 32]>::try_from(spki.get(spki.len().checked_sub(32)?..)?).ok()?;
    let canonical = public_key_to_spki(&alg_id::ED25519, key);
    (canonical.as_ref() == spki).then_some(key)
}

/// Accepts any Ed25519 raw public key, or exactly the expected one; possession is always proven.
#[derive(Debug)]
struct RawKeyVerifier {
    expected: Option<[u8; 32]>,
}

impl RawKeyVerifier {
    fn check(&self, cert: &CertificateDer<'_>, rest: &[CertificateDer<'_>]) -> Result<(), Error> {
        let key = key_from_spki(cert).ok_or(CertificateError::BadEncoding)?;
        if !rest.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        match self.expected {
            Some(expected) if expected != key => Err(CertificateError::ApplicationVerificationFailure.into()),
            _ => Ok(()),
        }
    }

    fn verify(
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(cert.as_ref()),
            dss,
            &aws_lc_rs::default_provider().signature_verification_algorithms,
        )
    }
}

/// TLS 1.2 is never offered, so its signatures never come up.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerIncompatible::Tls12NotOffered.into())
}

impl ServerCertVerifier for RawKeyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for RawKeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Self::verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
