/** `npm run stages`: writes tables and picture into the documents, after a change of the templates or of the prices. */
import { writeStageDocuments } from './stage-documents.ts';

writeStageDocuments();
