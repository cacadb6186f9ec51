//! Certificates as the API shows them, and chains from outside judged by this device.

use api::types::{CertChain, CertInfo, CertQuery, CertVerify, CrlInfo};
use api::{ApiError, ApiResult, ErrorCode};
use logic::roster::Standing;
use seal::pki::{Bundle, Certificate, Crl, Kind, verify_device, verify_member, verify_root};

use crate::clock;
use crate::running::Running;

impl Running {
    /// The chain of this device or of another one.
    pub(crate) fn certificates(&self, query: &CertQuery) -> ApiResult<CertChain> {
        let now = self.circle_now()?;
        let device = match &query.name {
            Some(name) => self.any_device_named(name)?,
            None => self.circle.device(),
        };
        let view = now
            .view
            .devices
            .get(&device)
            .ok_or_else(|| ApiError::new(ErrorCode::NotFound, "no certificate of that device is known"))?;
        let verdict = match view.standing {
            Standing::Active => "valid".to_owned(),
            Standing::Removed => "revoked".to_owned(),
            Standing::Lapsed => "not valid now: expired, or a revocation list above it ran out".to_owned(),
        };
        let chain: Vec<_> = view.chain.iter().chain([&now.root]).collect();
        let crls = self.circle.read(|roster| roster.crls_for(&view.chain))?;
        Ok(CertChain {
            certificates: chain.into_iter().map(shown).collect(),
            crls: crls.iter().map(shown_crl).collect(),
            verdict,
        })
    }

    /// Judges certificates from outside by this circle's root and revocation lists, now.
    pub(crate) fn verify_certificate(&self, request: &CertVerify) -> ApiResult<CertChain> {
        let bundle = Bundle::from_pem(&request.pem).map_err(|e| {
            ApiError::new(ErrorCode::BadRequest, format!("this is not PEM with certificates: {e}"))
                .hint("`warren cert export` writes what this command reads")
        })?;
        let now = self.circle_now()?;
        let time = clock::now();
        let ours = self.circle.read(logic::roster::Roster::crls)?;
        let crls: Vec<Crl> = ours.into_iter().chain(bundle.crls.iter().cloned()).collect();
        let chain = self.completed(in_order(bundle.certificates))?;
        let below: Vec<Certificate> =
            chain.iter().filter(|certificate| certificate.facts().kind != Kind::Root).cloned().collect();
        let verdict = match below.first().or(chain.first()).map(|first| first.facts().kind) {
            None => return Err(ApiError::new(ErrorCode::BadRequest, "there is no certificate in it")),
            Some(Kind::Device) => verify_device(&now.root, &below, &crls, time).map(|_| ()),
            Some(Kind::Member(_)) => verify_member(&now.root, &below, &crls, time).map(|_| ()),
            Some(Kind::Root) if chain[0] == now.root => verify_root(&now.root, time).map(|_| ()),
            Some(Kind::Root) => Err(seal::pki::PkiFault::WrongCircle),
        };
        let verdict = verdict.map_or_else(|fault| fault.to_string(), |()| "valid".to_owned());
        Ok(CertChain {
            certificates: chain.iter().map(shown).collect(),
            crls: bundle.crls.iter().map(shown_crl).collect(),
            verdict,
        })
    }

    /// Adds the issuers that are missing at the end of a chain and known to this circle.
    fn completed(&self, mut chain: Vec<Certificate>) -> ApiResult<Vec<Certificate>> {
        let now = self.circle_now()?;
        let known: Vec<&Certificate> = now.view.devices.values().flat_map(|device| &device.chain).collect();
        while let Some(last) = chain.last()
            && last.facts().kind != Kind::Root
        {
            let wanted = last.facts().issuer_key_id;
            let issuer = known.iter().copied().chain([&now.root]).find(|one| Some(one.facts().key_id) == wanted);
            let Some(issuer) = issuer.filter(|issuer| !chain.contains(issuer)) else { break };
            chain.push(issuer.clone());
        }
        Ok(chain)
    }
}

/// Certificates from a leaf upwards, whatever order they came in.
fn in_order(mut rest: Vec<Certificate>) -> Vec<Certificate> {
    rest.sort_by_key(|certificate| match certificate.facts().kind {
        Kind::Device => 0,
        Kind::Member(_) => 1,
        Kind::Root => 2,
    });
    let mut chain: Vec<Certificate> = Vec::new();
    while !rest.is_empty() {
        let wanted = chain.last().and_then(|last| last.facts().issuer_key_id);
        let next = rest.iter().position(|certificate| wanted.is_none_or(|key| certificate.facts().key_id == key));
        match next {
            Some(at) => chain.push(rest.remove(at)),
            None => break,
        }
    }
    chain
}

fn shown(certificate: &Certificate) -> CertInfo {
    let facts = certificate.facts();
    CertInfo {
        kind: match facts.kind {
            Kind::Device => "device",
            // The role stands in the subject.
            Kind::Member(_) => "member",
            Kind::Root => "root",
        }
        .into(),
        subject: facts.subject.clone(),
        issuer: facts.issuer.clone(),
        serial: facts.serial.to_string(),
        not_before: facts.not_before.0,
        not_after: facts.not_after.0,
        fingerprint: data_encoding::HEXLOWER.encode(&certificate.hash()),
        pem: certificate.to_pem(),
    }
}

fn shown_crl(crl: &Crl) -> CrlInfo {
    let facts = crl.facts();
    CrlInfo {
        issuer: facts.issuer.clone(),
        number: facts.number,
        this_update: facts.this_update.0,
        next_update: facts.next_update.0,
        revoked: facts.revoked.iter().map(|revoked| revoked.serial.to_string()).collect(),
        pem: crl.to_pem(),
    }
}
