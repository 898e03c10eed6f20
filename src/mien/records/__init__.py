"""What commands leave on disk and read again, as typed values: no torch, no scikit-learn, no matplotlib.

run           RunRecord (config.json), Epoch (history.csv)
recipe        Recipe, Augment
data          DataFacts, RunData, Preparation
evaluation    EvaluationRecord (metrics.json), Scores
comparison    ComparisonRecord (comparison.json)
audit         AuditRecord (audit.json)
figures       the names of the pictures
"""
