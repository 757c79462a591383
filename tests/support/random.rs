//! Numbers that look like chance, and are the same in every run.

/// Steele, Lea and Flood's SplitMix64, from this seed on.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// From 0 to `end - 1`.
    pub fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % u64::from(end)) as u32
    }
}
