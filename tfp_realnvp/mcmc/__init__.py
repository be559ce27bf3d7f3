"""Markov chains and evidence with a flow: NeuTra, independence Metropolis, importance sampling."""

from tfp_realnvp.mcmc.chains import Chains
from tfp_realnvp.mcmc.evidence import Evidence, evidence
from tfp_realnvp.mcmc.fit import fit
from tfp_realnvp.mcmc.independence import independence
from tfp_realnvp.mcmc.neutra import neutra
from tfp_realnvp.mcmc.pareto import pareto_smoothed

__all__ = ["Chains", "Evidence", "evidence", "fit", "independence", "neutra", "pareto_smoothed"]
