"""What a release is made and checked with: distributions, clean installations, both ends of the ranges, licences, the SBOM."""
