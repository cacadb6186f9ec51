//! Certificates and revocation lists: what is read keeps its bytes, and what an issuer without scruples signs is judged.
#![no_main]

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use seal::pki::{Bundle, Certificate, Crl, Kind, valid_name, verify_device, verify_member};
use warren_fuzz::edit;
use warren_fuzz::world::{NOW, WORLD, sign_anew};

fn read(der: &[u8]) -> (Option<Certificate>, Option<Crl>) {
    let (certificate, crl) = (Certificate::from_der(der.to_vec()).ok(), Crl::from_der(der.to_vec()).ok());
    if let Some(certificate) = &certificate {
        assert_eq!(certificate.der(), der);
        let facts = certificate.facts();
        assert_eq!(certificate.device().is_some(), facts.kind == Kind::Device);
        let bundle = Bundle { certificates: vec![certificate.clone()], crls: Vec::new() };
        assert_eq!(Bundle::from_pem(&certificate.to_pem()), Ok(bundle));
    }
    if let Some(crl) = &crl {
        assert_eq!(crl.der(), der);
        assert!(crl.facts().revoked.iter().all(|entry| crl.facts().revokes(entry.serial)));
    }
    (certificate, crl)
}

fn run(data: &[u8]) -> Result<()> {
    let mut u = Unstructured::new(data);
    if u.ratio(1, 4)? {
        read(warren_fuzz::rest(&mut u));
        return Ok(());
    }
    let (mut chain, mut crls) = (WORLD.chain(1), WORLD.crls.clone());
    if u.ratio(2, 3)? {
        let at = u.choose_index(chain.len())?;
        let seed = WORLD.seed_of(chain[at].facts().issuer_key_id);
        let mut der = edit(chain[at].der(), &mut u)?;
        sign_anew(&mut der, &seed);
        if let (Some(certificate), _) = read(&der) {
            chain[at] = certificate;
        }
    } else {
        let at = u.choose_index(crls.len())?;
        let seed = WORLD.seed_of(Some(crls[at].facts().issuer_key_id));
        let mut der = edit(crls[at].der(), &mut u)?;
        sign_anew(&mut der, &seed);
        if let (_, Some(crl)) = read(&der) {
            crls[at] = crl;
        }
    }
    if let Ok(device) = verify_device(&WORLD.root, &chain, &crls, NOW) {
        assert_eq!(Some(device.device()), chain[0].device());
        assert!(valid_name(device.device_name()).is_ok() && valid_name(device.member_name()).is_ok());
        assert!(device.role() <= seal::pki::Role::Admin && device.not_after() > NOW);
        assert_eq!(device.circle_name(), "Fox Hole");
    }
    let _ = verify_member(&WORLD.root, &chain[1..], &crls, NOW);
    Ok(())
}

fuzz_target!(|data: &[u8]| {
    let _ = run(data);
});
