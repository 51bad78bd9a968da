"""Parts of `llm_judge`: what it is shown and asked, what its answers count for, and the purse that pays."""
