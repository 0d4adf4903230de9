"""DDoS: detect and mitigate, robust to an evading attacker."""
